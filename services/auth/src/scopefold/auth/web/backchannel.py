"""Telling clients that a session has ended (OpenID Connect Back-Channel Logout 1.0, section 2.5).

All at once and each by itself, so that one that is slow holds up no other. The caller waits for the first moment
only; what takes longer goes on behind, a bounded number of times, and what fails for good is told in the log line.

Clients that nobody here vouches for chose their addresses themselves: they are reached through the one door for such
(`egress`), and have turns of their own, so that none of them can keep an operator's client waiting.
"""

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import httpx
from msgspec import Struct

from scopefold.auth.web.egress import Egress, NotFetched
from scopefold.runtime.logs import logger

AT_ONCE: Final = 20
UNKNOWN_AT_ONCE: Final = 8
"""Fewer than `egress` has: documents and keys of clients, for which logins wait, go through there, too."""

CLIENT_AT_ONCE: Final = 2
PENDING: Final = 1000
TRIES: Final = 3
TRY_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 1.0
FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
log = logger(__name__)


class Delivery(Struct, frozen=True):
    """One logout token and where it goes."""

    client_id: str
    address: str
    token: str
    unknown: bool = False
    """Did nobody here vouch for the client?"""


class Backchannel:
    """What delivers logout tokens, and follows no redirect."""

    def __init__(self, http: httpx.AsyncClient, egress: Egress) -> None:
        self._http = http
        self._egress = egress
        self._known, self._unknown = _Turns(AT_ONCE), _Turns(UNKNOWN_AT_ONCE)

    async def send(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver; returns once all have arrived, or after 1 second."""
        begun: list[asyncio.Task[None]] = []
        for delivery in deliveries:
            turns = self._unknown if delivery.unknown else self._known
            if len(turns.pending) >= PENDING:
                log.warning("logout not told: too many are under way", client=delivery.client_id)
                continue
            task = asyncio.create_task(self._deliver(delivery, turns))
            turns.pending.add(task)
            task.add_done_callback(turns.pending.discard)
            begun.append(task)
        if begun:
            await asyncio.wait(begun, timeout=WAIT_SECONDS)

    async def close(self) -> None:
        """Give up what is still under way."""
        tasks = [*self._known.pending, *self._unknown.pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: Delivery, turns: "_Turns") -> None:
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            async with turns.of(delivery.client_id), turns.all:
                reason = await (self._through_egress(delivery) if delivery.unknown else self._straight(delivery))
            if not reason:
                return
            if reason == "refused":  # the client has read it and disagrees: the same again changes nothing
                break
        log.warning("logout not told", client=delivery.client_id, address=delivery.address, reason=reason)

    async def _straight(self, delivery: Delivery) -> str:
        """Why it failed; empty where it did not. The answer's body is not read.

        For an operator's client, whose address may well be inside a network that nobody else reaches.
        """
        try:
            async with asyncio.timeout(TRY_SECONDS):
                request = self._http.build_request("POST", delivery.address, data={"logout_token": delivery.token})
                answer = await self._http.send(request, stream=True, follow_redirects=False)
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__
        return _why(answer.status_code)

    async def _through_egress(self, delivery: Delivery) -> str:
        """The same for a client that nobody vouches for."""
        content = urlencode({"logout_token": delivery.token}).encode()
        try:
            answer = await self._egress.ask("POST", delivery.address, headers=FORM, content=content)
        except NotFetched as error:
            return str(error)
        return _why(answer.status)


class _Turns:
    """How many deliveries are made at once: in all, and to any one client. The others wait."""

    def __init__(self, at_once: int) -> None:
        self.all = asyncio.Semaphore(at_once)
        self.pending: set[asyncio.Task[None]] = set()
        self._each: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, client_id: str) -> asyncio.Semaphore:
        """The turns of one client, forgotten when nobody uses or awaits one."""
        turns = self._each.get(client_id) or asyncio.Semaphore(CLIENT_AT_ONCE)
        return self._each.setdefault(client_id, turns)


def _why(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return "refused" if status == httpx.codes.BAD_REQUEST else f"http_{status}"
