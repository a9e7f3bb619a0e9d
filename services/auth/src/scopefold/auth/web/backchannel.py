"""Telling clients that a session has ended (OpenID Connect Back-Channel Logout 1.0, section 2.5).

All at once and each by itself, so that one that is slow holds up no other. The caller waits for the first moment
only; what takes longer goes on behind, a bounded number of times, and what fails for good is told in the log line.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import httpx
from msgspec import Struct

from scopefold.runtime.logs import logger

AT_ONCE: Final = 20
PENDING: Final = 1000
TRIES: Final = 3
TRY_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 1.0
WAIT_SECONDS: Final = 2.0
log = logger(__name__)


class Delivery(Struct, frozen=True):
    """One logout token and where it goes."""

    client_id: str
    address: str
    token: str


class Backchannel:
    """What delivers logout tokens, with one HTTP client that follows no redirect."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._pending: set[asyncio.Task[None]] = set()

    async def send(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver; returns once all have arrived, or after 2 seconds."""
        begun: list[asyncio.Task[None]] = []
        for delivery in deliveries:
            if len(self._pending) >= PENDING:
                log.warning("logout not told: too many are under way", client=delivery.client_id)
                continue
            task = asyncio.create_task(self._deliver(delivery))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
            begun.append(task)
        if begun:
            await asyncio.wait(begun, timeout=WAIT_SECONDS)

    async def close(self) -> None:
        """Give up what is still under way."""
        tasks = list(self._pending)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, delivery: Delivery) -> None:
        reason = ""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * attempt)
            async with self._turns:
                reason = await self._try(delivery)
            if not reason:
                return
            if reason == "refused":  # the client has read it and disagrees: the same again changes nothing
                break
        log.warning("logout not told", client=delivery.client_id, address=delivery.address, reason=reason)

    async def _try(self, delivery: Delivery) -> str:
        """Why it failed; empty where it did not. The answer's body is not read."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                request = self._http.build_request("POST", delivery.address, data={"logout_token": delivery.token})
                answer = await self._http.send(request, stream=True, follow_redirects=False)
                await answer.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return type(error).__name__
        if answer.is_success:
            return ""
        return "refused" if answer.status_code == httpx.codes.BAD_REQUEST else f"http_{answer.status_code}"
