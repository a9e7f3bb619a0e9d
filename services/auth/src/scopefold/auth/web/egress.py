"""The one way out to addresses that others chose: client documents, key sets, logout addresses of clients.

https only, to the address that was checked and no other, without redirects, in 5 seconds and 64 KiB.
"""

import asyncio
import ipaddress
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakValueDictionary

import httpx
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.egress import Address, BadTarget, Network, Target, check, target
from scopefold.runtime.kept import Kept

SECONDS: Final = 5.0
MAX_BYTES: Final = 64 * 1024
AT_ONCE: Final = 16
ADDRESS_AT_ONCE: Final = 4
"""Of those, so that one place that is slow does not keep the others waiting."""
LOOKUPS_AT_ONCE: Final = 2
"""Fewer than the process has threads for names: who is slow to tell of his own must not keep logins from IdPs."""
KEPT: Final = 500
KEPT_SECONDS: Final = 300.0
FAILURE_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 10.0
IPV4: Final = 4


class NotFetched(Exception):
    """Nothing usable came from there. The message holds nothing of what came, and no resolved address."""


class _Found(Struct, frozen=True):
    """What is at an address, or why there is nothing. Times are those of the process's own clock, in seconds."""

    found: dict[str, Any] | str
    fetched_at: float
    until: float


class Answered(Struct, frozen=True):
    """An answer: its status, its media type without parameters, and a body of at most 64 KiB."""

    status: int
    media_type: str
    body: bytes


class Egress:
    """Asks what others named. `reachable` are networks that an operator opened beside the public internet."""

    def __init__(self, reachable: Sequence[Network] = ()) -> None:
        self.reachable = tuple(reachable)
        # Neither a proxy nor credentials from the environment: a proxy would resolve the name again.
        self._http = httpx.AsyncClient(
            verify=httpx.create_ssl_context(),
            trust_env=False,
            timeout=SECONDS,
            follow_redirects=False,
            # A connection is never used again: it was opened, and its certificate checked, for one host.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._each: WeakValueDictionary[Address, asyncio.Semaphore] = WeakValueDictionary()
        self._documents: Kept[str, _Found] = Kept(KEPT)
        self._under_way: dict[str, asyncio.Task[_Found]] = {}

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    def check(self, address: str) -> None:
        """Raises `BadTarget` where an address can be refused without resolving its name."""
        target(address, self.reachable)

    async def ask(
        self, method: str, address: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answered:
        """Send one request. Raises `NotFetched`."""
        try:
            wanted = target(address, self.reachable)
            async with asyncio.timeout(SECONDS):
                found = await self._resolve(wanted)
                async with self._turns_at(found), self._turns:
                    return await self._ask(method, wanted, found, dict(headers or {}), content)
        except BadTarget as error:
            raise NotFetched(f"the address is refused: {error}") from None
        except TimeoutError:
            raise NotFetched(f"no whole answer within {SECONDS:.0f} seconds") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise NotFetched(f"no answer ({type(error).__name__})") from None

    async def document(self, address: str, *, newer_than_seconds: float = KEPT_SECONDS) -> dict[str, Any]:
        """The JSON object at an address, kept for 5 minutes; that there is none, for 30 seconds.

        Whoever misses something in it asks for a newer one; what was fetched within the last 10 seconds counts as new.
        All who ask at one moment share one request. Raises `NotFetched`.
        """
        kept, moment = self._documents.get(address), time.monotonic()
        oldest = moment - max(newer_than_seconds, AGAIN_SECONDS)
        if kept is None or moment >= kept.until or kept.fetched_at < oldest:
            fetching = self._under_way.get(address)
            if fetching is None:
                fetching = self._under_way[address] = asyncio.create_task(self._fetched(address))
            kept = await asyncio.shield(fetching)  # who gives up waiting does not take it from the others
        if isinstance(kept.found, str):
            raise NotFetched(kept.found)
        return kept.found

    async def _fetched(self, address: str) -> _Found:
        """Fetch what is at an address, and keep that, or why there is nothing.

        What was kept before stays good for its time: a site that is away for a moment takes nothing from its clients.
        """
        try:
            found = _members(await self.ask("GET", address, headers={"accept": "application/json"}))
            kept = _Found(found, moment := time.monotonic(), moment + KEPT_SECONDS)
        except NotFetched as error:
            moment, before = time.monotonic(), self._documents.get(address)
            if before is not None and moment < before.until:
                kept = replace(before, fetched_at=moment)
            else:
                kept = _Found(str(error), moment, moment + FAILURE_SECONDS)
        finally:
            del self._under_way[address]
        self._documents.keep(address, kept)
        return kept

    async def _resolve(self, wanted: Target) -> Address:
        """The address to connect to. All that a name resolves to must be allowed: one that is not is an attempt."""
        found = await self._looked_up(wanted.host, wanted.port)
        addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
        for address in addresses:
            check(address, self.reachable)
        if not addresses:
            raise BadTarget("its host is not known")
        return next((one for one in addresses if one.version == IPV4), addresses[0])

    def _turns_at(self, address: Address) -> asyncio.Semaphore:
        """The turns of one address, under whatever names, forgotten when nobody uses or awaits one."""
        turns = self._each.get(address) or asyncio.Semaphore(ADDRESS_AT_ONCE)
        return self._each.setdefault(address, turns)

    async def _looked_up(self, host: str, port: int) -> list[Any]:
        """What a host resolves to. A lookup cannot be broken off, so it has its turn until it ends."""
        loop = asyncio.get_running_loop()
        await self._lookups.acquire()
        lookup = asyncio.ensure_future(loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP))
        lookup.add_done_callback(self._has_ended)
        return await asyncio.shield(lookup)

    def _has_ended(self, lookup: asyncio.Future[Any]) -> None:
        self._lookups.release()
        if not lookup.cancelled():
            lookup.exception()  # told to who waits, if anybody still does

    async def _ask(
        self, method: str, wanted: Target, found: Address, headers: dict[str, str], content: bytes | None
    ) -> Answered:
        """Connect to the resolved address, but speak to the host, and take a certificate of the host only."""
        pinned = f"[{found}]" if found.version != IPV4 else str(found)
        usual = 443 if wanted.scheme == "https" else 80
        host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
        request = self._http.build_request(
            method,
            f"{wanted.scheme}://{pinned}:{wanted.port}{wanted.path}",
            headers={
                **headers,
                "host": host if wanted.port == usual else f"{host}:{wanted.port}",
                "accept-encoding": "identity",
                "user-agent": "scopefold",
            },
            content=content,
            extensions={"sni_hostname": wanted.host},
        )
        response = await self._http.send(request, stream=True)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise NotFetched("the answer is encoded, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise NotFetched(f"the answer is larger than {MAX_BYTES} bytes")
        finally:
            await response.aclose()
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Answered(response.status_code, media_type, bytes(body))


def _members(answer: Answered) -> dict[str, Any]:
    if answer.status != 200:
        raise NotFetched(f"HTTP {answer.status}; redirects are not followed")
    if answer.media_type != "application/json" and not (
        answer.media_type.startswith("application/") and answer.media_type.endswith("+json")
    ):
        raise NotFetched("the answer is not JSON by its content type")
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotFetched("the answer is no JSON object") from None
