"""What drives a system: requests one after the other on kept connections, and whole logins as browsers do them.

A login is: authorize, whatever redirects follow, the IdP, the callback, and the token endpoint with the code and its
verifier; cookies are new each time. It counts when a token answer with an ID token and an access token has come.
"""

import asyncio
import base64
import hashlib
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit

import msgspec
from msgspec import Struct, field

from bench.started import cpu_seconds
from bench.wire import Answer, Connection, request

REDIRECT_URI: Final = "https://client.example.test/cb"
WEB: Final = "web"
MOST_HOPS: Final = 12
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
WARM_SECONDS: Final = 1.0


class System(Struct, kw_only=True):
    """A started system and how to speak with it."""

    name: str
    port: int
    authorize: str
    """The path of the authorization endpoint."""
    token: str
    """The path of the token endpoint."""
    roots: Sequence[int]
    """The processes that it is made of, its store's with them."""
    client: tuple[str, str] = (WEB, "")
    """Name and secret of the app that logs users in, which authenticates by HTTP Basic."""
    service: tuple[str, str] | None = None
    """Name and secret of a client that gets tokens of its own; None where the system cannot do that."""
    service_forms: Mapping[str, str] = field(default_factory=dict)
    """The body of such a token request, by the algorithm that the access token is signed with."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What it needs beside the parameters that are the same for all."""
    pkce: bool = True
    stands_behind: str = ""
    """Its own name for itself, where it insists on https; the driver goes to its port instead, as a proxy would."""
    own_hops: int = 1
    """With which of its answers to an authorization request it sends the browser to the IdP."""

    @property
    def origin(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


class Measured(Struct, frozen=True):
    """What came of one measurement."""

    per_s: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    failed: int
    why: str


class FailedError(RuntimeError):
    """The system did not answer as it must; the message says how."""


Act = Callable[[], Awaitable[None]]


async def measure(system: System, workers: Sequence[Act], seconds: float) -> Measured:
    """Let the workers act, each again and again, for a second without and then for so many seconds with a count.

    What is done within the time counts. Raises `FailedError` where nothing was.
    """
    taken: list[float] = []
    wrong: list[str] = []
    begin = time.perf_counter() + WARM_SECONDS
    end = begin + seconds

    async def keep_on(act: Act) -> None:
        while (started := time.perf_counter()) < end:
            try:
                await act()
            except (FailedError, OSError, ValueError, TimeoutError) as error:
                wrong.append(str(error) or type(error).__name__)
                await asyncio.sleep(0.02)  # a system that refuses everything is not to be stormed
                continue
            if begin <= time.perf_counter() <= end:
                taken.append(time.perf_counter() - started)

    async def count() -> float:
        await asyncio.sleep(begin - time.perf_counter())
        before = cpu_seconds(system.roots)
        await asyncio.sleep(end - time.perf_counter())
        return cpu_seconds(system.roots) - before

    counting = asyncio.create_task(count())
    await asyncio.gather(*(keep_on(act) for act in workers))
    spent = await counting
    if not taken:
        raise FailedError(f"{system.name}: nothing was done: {wrong[0] if wrong else 'no answer'}")
    cuts = statistics.quantiles(taken, n=100) if len(taken) > 1 else [taken[0]] * 99
    return Measured(
        len(taken) / seconds,
        1000 * spent / len(taken),
        1000 * cuts[49],
        1000 * cuts[98],
        len(wrong),
        wrong[0] if wrong else "",
    )


def authorization_request(system: System, verifier: str, state: str) -> str:
    """Path and query of a right authorization request."""
    asked = {
        "response_type": "code",
        "client_id": system.client[0],
        "redirect_uri": REDIRECT_URI,
        "scope": "openid profile email",
        "state": state,
        "nonce": secrets.token_urlsafe(12),
        **system.extra,
    }
    if system.pkce:
        asked["code_challenge"] = b64(hashlib.sha256(verifier.encode()).digest())
        asked["code_challenge_method"] = "S256"
    return f"{system.authorize}?{urlencode(asked)}"


def redirects(system: System, idp: str) -> Act:
    """A browser that nobody knows comes to the authorization endpoint, and is sent to the IdP."""
    connection = Connection(system.port)

    async def act() -> None:
        browser = Browser(system, {system.port: connection})
        address = system.origin + authorization_request(system, secrets.token_urlsafe(32), "s")
        for _ in range(system.own_hops):
            address = await browser.go(address)
        if not address.startswith(idp):
            raise FailedError(f"sent to {address[:100]} instead of the IdP")

    return act


def tokens(system: System, algorithm: str) -> Act:
    """A client asks for a token of its own."""
    assert system.service is not None
    connection = Connection(system.port)
    body = system.service_forms[algorithm].encode()
    asked = request("POST", system.token, system.port, headers=[basic(system.service)], body=body)

    async def act() -> None:
        answer = await connection.ask(asked)
        if answer.status != 200:
            raise FailedError(f"token: {answer.status} {answer.body[:200]!r}")

    return act


def logins(system: System) -> Act:
    """A person logs in with a browser of their own, and the app gets its tokens."""
    connections: dict[int, Connection] = {}

    async def act() -> None:
        browser, verifier, state = Browser(system, connections), secrets.token_urlsafe(32), secrets.token_urlsafe(12)
        address = system.origin + authorization_request(system, verifier, state)
        for _ in range(MOST_HOPS):
            address = await browser.go(address)
            if address.startswith(REDIRECT_URI):
                break
        told = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        if told.get("state") != state or "code" not in told:
            raise FailedError(f"the login ended at {address[:200]}")
        await swap(system, connections[system.port], told["code"], verifier)

    return act


async def swap(system: System, connection: Connection, code: str, verifier: str) -> None:
    """The code for tokens."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI}
    form |= {"code_verifier": verifier} if system.pkce else {}
    body = urlencode({**form, **system.extra}).encode()
    answer = await connection.ask(request("POST", system.token, system.port, headers=[basic(system.client)], body=body))
    if answer.status != 200:
        raise FailedError(f"token: {answer.status} {answer.body[:200]!r}")
    if not {"access_token", "id_token"} <= msgspec.json.decode(answer.body, type=dict[str, object]).keys():
        raise FailedError("the token answer lacks a token")


class Browser:
    """A browser with cookies of its own, over connections that outlive it."""

    def __init__(self, system: System, connections: dict[int, Connection]) -> None:
        self._system = system
        self._connections = connections
        self._cookies: dict[str, str] = {}

    async def go(self, address: str) -> str:
        """Where this address sends the browser. Raises `FailedError` where it sends it nowhere."""
        system = self._system
        if system.stands_behind and address.startswith(system.stands_behind):
            address = system.origin + address.removeprefix(system.stands_behind)
        place = urlsplit(address)
        port = place.port or 80
        if port not in self._connections:
            self._connections[port] = Connection(port)
        at_system = port == system.port
        headers = [("accept", "text/html")]
        if at_system and self._cookies:
            headers.append(("cookie", "; ".join(f"{name}={value}" for name, value in self._cookies.items())))
        target = f"{place.path}?{place.query}" if place.query else place.path
        answer = await self._connections[port].ask(request("GET", target, port, headers=headers))
        if at_system:
            self._keep(answer)
        if answer.status not in REDIRECTS:
            raise FailedError(f"{place.path}: {answer.status} {answer.body[:200]!r}")
        return urljoin(address, answer.header("location"))

    def _keep(self, answer: Answer) -> None:
        """Cookies of the one host that is measured. Their paths are not looked at: rather too many than too few."""
        for name, value in answer.headers:
            if name == "set-cookie":
                pair, _, rest = value.partition(";")
                cookie, _, text = pair.partition("=")
                gone = not text or "max-age=0" in rest.lower() or "1970" in rest
                if gone:
                    self._cookies.pop(cookie, None)
                else:
                    self._cookies[cookie] = text


def basic(credentials: tuple[str, str]) -> tuple[str, str]:
    """The header of HTTP Basic (RFC 6749, section 2.3.1)."""
    return "authorization", f"Basic {base64.b64encode(':'.join(map(quote, credentials)).encode()).decode()}"


def b64(raw: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
