"""A real bus, a real auth service and the real sandbox as its IdP; apps and people that go through them."""

import asyncio
import base64
import hashlib
import html
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx
import nats
from joserfc import jwt
from joserfc.jwk import KeySet
from nats.aio.client import Client

from scopefold.auth.store import declared
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.ports import free_port
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded, examine
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log, declare, status
from scopefold.ledger.read import read
from tests.sandbox.visitor import CLIENT_ID, CLIENT_SECRET, transaction_in
from tests.support import process
from tests.support.browsing import Window
from tests.support.logs import JIRA, provisioned
from tests.support.process import Service

DEADLINE_SECONDS: Final = 30.0
MOST_CALLBACKS: Final = 50
"""What an app at the sandbox may have: the oldest are given up, whose tests are over."""
KEK: Final = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()  # no key that is shown is taken
NO_LIMITS: Final = {"logins_per_minute": "1000000", "failures_per_minute": "1000000"}  # one address has all tests
APP_REDIRECT: Final = "https://app.example/callback"
VERIFIER: Final = "a-verifier-of-the-tests-" + "v" * 40
JIRA_SCOPES: Final = tuple(scope for scope in JIRA if scope != "offline_access")


def challenge_of(verifier: str) -> str:
    """The S256 challenge (RFC 7636, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def query_of(answer: httpx.Response) -> dict[str, str]:
    """The parameters of the address that an answer redirects to."""
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query, keep_blank_values=True))


def told_by(page: httpx.Response) -> dict[str, str]:
    """What the page of a login that failed leads the client on with."""
    assert 502 == page.status_code, page.text
    found = re.search(r'id="back" href="([^"]+)"', page.text)
    assert found is not None, page.text
    return dict(parse_qsl(urlsplit(html.unescape(found[1])).query, keep_blank_values=True))


def with_callback(registered: Sequence[str], new: str) -> list[str]:
    """An app's callbacks with one more. A console takes 50: those of tests that are over give way."""
    return [*(one for one in registered if one != new), new][-50:]


class World:
    """What runs, and what an operator does with it."""

    def __init__(self, bus: NatsServer, auth: Service, sandbox: Service, directory: Path) -> None:
        self.bus = bus
        self.auth = auth
        self.sandbox = sandbox
        self.directory = directory

    @property
    def settings(self) -> dict[str, str]:
        """The settings of another replica of the same service, but for its port and its directory."""
        return {"nats_url": self.bus.url, "kek": KEK, "issuer": self.auth.url}

    @asynccontextmanager
    async def log(self) -> AsyncIterator[Log]:
        """A connection of a test's own."""
        nc = await nats.connect(self.bus.url)
        try:
            yield Log(nc)
        finally:
            await nc.close()

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[Client]:
        """A connection to the bus, of one who may see the vault."""
        nc = await nats.connect(self.bus.url)
        try:
            yield nc
        finally:
            await nc.close()

    async def events(self) -> list[Recorded]:
        """All events of the log."""
        async with self.log() as log:
            found = [examine(message) async for page in read(log) for message in page]
        return [one for one in found if isinstance(one, Recorded)]

    async def said(self, kind: type[Event], idp: str) -> list[Any]:
        """The events of one kind at one IdP."""
        return [one.event for one in await self.events() if isinstance(one.event, kind) and one.event.idp == idp]

    async def publish(self, *events: Event, by: str) -> None:
        """What another service appends; returns once auth has folded it."""
        async with self.log() as log:
            new = [NewEvent(f"test-{secrets.token_hex(8)}", event) for event in events]
            await append(log, new, tenant="default", publisher=by, now=datetime.now(UTC))
        await self.caught_up()

    async def caught_up(self) -> None:
        """Wait until auth has folded all that is in the log by now, as what a login just appended."""
        async with self.log() as log:
            last = (await status(log)).last_seq
        await self.folded(last)

    async def folded(self, seq: int) -> None:
        """Wait until auth has folded this sequence."""

        async def there() -> bool:
            answer = await self.admin("GET", "/v1/reconsent", params={"limit": 1})
            assert 200 == answer.status_code, answer.text
            return bool(answer.json()["as_of"]["seq"] >= seq)

        await until(there)

    async def admin(self, method: str, path: str, **rest: Any) -> httpx.Response:
        """One call of the admin API."""
        async with self.auth.client() as client:
            return await client.request(method, path, **rest)

    async def worklist(self, **query: Any) -> Any:
        """The worklist, of all that is in the log by now."""
        if "at" not in query:
            await self.caught_up()
        answer = await self.admin("GET", "/v1/reconsent", params=query)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def register_idp(self, idp: str, *, secret: str = CLIENT_SECRET, **changed: Any) -> None:
        """Register the sandbox as an IdP of this name, here and in its own console."""
        base = f"{self.sandbox.url}/atlassian"
        endpoints = {"authorize": f"{base}/authorize", "token": f"{base}/oauth/token", "identity": f"{base}/me"}
        body = {"idp": idp, "profile": "atlassian", "client_id": CLIENT_ID, "client_secret": secret}
        answer = await self.admin("POST", "/v1/idps", json={**body, "endpoints": endpoints, **changed})
        assert answer.status_code in (200, 201), answer.text
        console = "/atlassian/console/apps/sandbox-atlassian"
        async with httpx.AsyncClient(base_url=self.sandbox.url) as http:
            app = (await http.get(console)).json()
            callbacks = with_callback(app["callbacks"], f"{self.auth.url}/oauth2/callback/{idp}")
            kept = {key: app[key] for key in ("name", "permitted_scopes")}
            assert 200 == (await http.put(console, json={**kept, "callbacks": callbacks})).status_code

    async def register_client(self, **changed: Any) -> "App":
        """Register an app; public where nothing else is said."""
        client_id = f"app-{secrets.token_hex(4)}"
        body = {"client_id": client_id, "client_name": "An App", "redirect_uris": [APP_REDIRECT]}
        answer = await self.admin(
            "POST",
            "/api/v1/organizations/default/clients",
            json={**body, "token_endpoint_auth_method": "none", **changed},
        )
        assert 201 == answer.status_code, answer.text
        return App(self, answer.json())

    async def idp_with_jira(self) -> str:
        """A new IdP with one Jira connector of its own; its name, which also names the connector."""
        idp = f"idp-{secrets.token_hex(4)}"
        await self.register_idp(idp)
        await self.publish(provisioned(f"jira-{idp}", JIRA_SCOPES, idp), by="provisioner")
        return idp


class App:
    """A registered client."""

    def __init__(self, world: World, registered: dict[str, Any]) -> None:
        self.world = world
        self.id: str = registered["client_id"]
        self.secret: str | None = registered.get("client_secret")

    def request(self, **changed: str | None) -> dict[str, str]:
        """An authorization request that is right, but for what is changed; None leaves a parameter out."""
        right: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": APP_REDIRECT,
            "scope": "openid profile email",
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in {**right, **changed}.items() if value is not None}

    def address(self, **changed: str | None) -> str:
        """The same as an address."""
        return f"/authorize?{httpx.QueryParams(self.request(**changed))}"

    def swap_form(self, code: str | None, **changed: str | None) -> dict[str, str]:
        """A token request that is right, but for what is changed."""
        right: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": APP_REDIRECT,
            "code_verifier": VERIFIER,
            "client_id": self.id,
        }
        return {name: value for name, value in {**right, **changed}.items() if value is not None}

    async def swap(self, code: str | None, **changed: str | None) -> httpx.Response:
        """Swap a code at the token endpoint."""
        async with httpx.AsyncClient(timeout=20) as http:
            return await http.post(f"{self.world.auth.url}/oauth2/token", data=self.swap_form(code, **changed))

    async def verified(self, id_token: str) -> dict[str, Any]:
        """The claims of an id_token, checked as OpenID Connect Core 1.0, section 3.1.3.7, has it."""
        async with httpx.AsyncClient(timeout=20) as http:
            keys = (await http.get(f"{self.world.auth.url}/oauth2/jwks")).json()
        token = jwt.decode(id_token, KeySet.import_key_set(keys), algorithms=["RS256"])
        rules = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": self.world.auth.url},
            aud={"essential": True, "value": self.id},
            nonce={"essential": True, "value": "the-nonce"},
            sub={"essential": True},
            exp={"essential": True},
        )
        rules.validate(token.claims)
        return dict(token.claims)

    async def access_token(self, token: str) -> dict[str, Any]:
        """The claims of an access token whose signature is right (RFC 9068)."""
        async with httpx.AsyncClient(timeout=20) as http:
            keys = (await http.get(f"{self.world.auth.url}/oauth2/jwks")).json()
        return dict(jwt.decode(token, KeySet.import_key_set(keys), algorithms=["ES256"]).claims)


class Person:
    """Somebody with a browser, who has an account at the sandbox."""

    def __init__(self, world: World, name: str = "alice") -> None:
        self.world = world
        self.name = name
        self.browser = Window(world.auth.url)
        self.address: str | None = None  # where to begin, in place of the app's address

    async def at_consent(self, app: App, **changed: str | None) -> httpx.Response:
        """Open the app's address and log in upstream; the consent page."""
        answer = await self.browser.get(self.address or app.address(**changed))
        if answer.status_code == 200:  # the page that explains a step-up
            found = re.search(r'id="continue" href="([^"]+)"', answer.text)
            assert found is not None, answer.text
            upstream = found[1].replace("&amp;", "&")
        else:
            assert 303 == answer.status_code, answer.text
            upstream = answer.headers["location"]
        assert upstream.startswith(f"{self.world.sandbox.url}/atlassian/authorize"), upstream
        page = await self.browser.get(upstream)
        fields = {"transaction": transaction_in(page), "user": self.name}
        return await self.browser.post(f"{self.world.sandbox.url}/atlassian/login", data=fields)

    async def press(self, consent: httpx.Response, decision: str = "accept") -> str:
        """Press a button of the consent page; the callback address that it leads to, not yet opened."""
        site = re.search(r'<option value="([^"]+)"', consent.text)
        fields = {"transaction": transaction_in(consent), "decision": decision, "site": site[1] if site else ""}
        answer = await self.browser.post(f"{self.world.sandbox.url}/atlassian/consent", data=fields)
        assert 303 == answer.status_code, answer.text
        return str(answer.headers["location"])

    async def come_back(self, app: App, *, decision: str = "accept", **changed: str | None) -> httpx.Response:
        """All the way to the answer of our callback."""
        return await self.browser.get(await self.press(await self.at_consent(app, **changed), decision))

    async def log_in(self, app: App, **changed: str | None) -> str:
        """All the way; the code that the app gets."""
        answer = await self.browser.get(await self.press(await self.at_consent(app, **changed)))
        assert 303 == answer.status_code, answer.text
        return query_of(answer)["code"]

    async def asked(self, app: App, **changed: str | None) -> httpx.Response:
        """All the way to the question whether an app that nobody vouches for may log her in."""
        return await self.browser.get(await self.press(await self.at_consent(app, **changed)))

    async def decide(self, question: httpx.Response, decision: str = "allow", **changed: str) -> httpx.Response:
        """Press a button of that page."""
        found = re.search(r'action="([^"]+)".*name="ticket" value="([^"]+)"', question.text, re.DOTALL)
        assert found is not None, question.text
        return await self.browser.post(found[1], data={"ticket": found[2], "decision": decision, **changed})

    async def allow(self, app: App, **changed: str | None) -> str:
        """All the way, and yes; the code that the app gets."""
        answer = await self.decide(await self.asked(app, **changed))
        assert 303 == answer.status_code, answer.text
        return query_of(answer)["code"]

    async def user(self, app: App, **changed: str | None) -> str:
        """All the way, and the app's swap; the user id."""
        answer = await app.swap(await self.log_in(app, **changed))
        assert 200 == answer.status_code, answer.text
        return str((await app.verified(answer.json()["id_token"]))["sub"])


async def until(true: Callable[[], Awaitable[bool]], seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


async def status_becomes(service: Service, status: int, seconds: float = DEADLINE_SECONDS) -> httpx.Response:
    """Wait until `/readyz` answers so."""
    answers: list[httpx.Response] = []

    async def there() -> bool:
        async with service.client() as client:
            answers.append(await client.get("/readyz"))
        return answers[-1].status_code == status

    await until(there, seconds)
    return answers[-1]


async def declare_all(url: str) -> None:
    """What `scopefold bus init` does."""
    nc = await nats.connect(url)
    await declare(Log(nc))
    await declared.declare(Log(nc).js)
    await nc.close()


@contextmanager
def auth(directory: Path, **settings: str) -> Iterator[Service]:
    """An auth process, not necessarily ready. Where no issuer is set, it is its own address."""
    directory.mkdir(exist_ok=True)
    port = settings.pop("port", None) or str(free_port())
    own = {"port": port, "issuer": f"http://127.0.0.1:{port}", "kek": KEK, "data_dir": str(directory), **NO_LIMITS}
    with process.running("auth", directory, **{**own, **settings}) as service:
        yield service


@contextmanager
def new_world(directory: Path, **settings: str) -> Iterator[World]:
    """Start everything, and wait until auth is ready."""
    bus = NatsServer(directory / "nats")
    bus.start()
    try:
        asyncio.run(declare_all(bus.url))
        with (
            auth(directory / "auth", nats_url=bus.url, **settings) as service,
            process.running("sandbox", directory, issuer=service.url) as sandbox,
        ):
            asyncio.run(until_ready(service))
            yield World(bus, service, sandbox, directory)
    finally:
        bus.stop()


@contextmanager
def beside(world: World, directory: Path, **settings: str) -> Iterator[World]:
    """Another service of the same bus and sandbox, of an issuer of its own and with other settings."""
    with auth(directory, nats_url=world.bus.url, client_documents="true", **settings) as service:
        asyncio.run(until_ready(service))
        yield World(world.bus, service, world.sandbox, directory)
        assert "Traceback" not in service.said()


async def until_ready(service: Service) -> None:
    await status_becomes(service, 200)


def files_below(directory: Path) -> Sequence[tuple[Path, bytes]]:
    """Every file and what is in it."""
    return [
        (Path(root) / name, (Path(root) / name).read_bytes()) for root, _, names in os.walk(directory) for name in names
    ]
