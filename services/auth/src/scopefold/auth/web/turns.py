"""What one process remembers so as not to do a thing twice: renewals under way, rests after failures, what was told."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Literal

from scopefold.auth.core.stored_token import Renewing, StoredToken
from scopefold.runtime.kept import Kept

RESTS: Final = (2.0, 5.0, 15.0, 60.0)
"""How many seconds nobody asks again after a renewal that failed, by how many failed in a row."""
CLOSE_SECONDS: Final = 20.0
GAP_SECONDS: Final = 3.0
"""Who waits for another's renewal looks four times a second; who is told to come back, after two seconds."""
MOST: Final = 10_000
Came = Literal["renewed", "failed", "ended", "user-wanted"]
"""What came of a renewal: a token, nothing for now, the end of the token, or that the IdP wants to see the user."""


def about(seconds: float) -> float:
    """So long, more or less: those who wait for the same thing should not come back together."""
    return seconds * (0.75 + secrets.randbelow(50) / 100)


class Watched:
    """For how long this process has seen each of some leases stand, which no clock changes.

    Between two looks that are further apart than `gap_seconds` nothing was seen: the bus may have been away, and who
    holds the lease could not do what it is for.
    """

    def __init__(self, gap_seconds: float) -> None:
        self._gap_seconds = gap_seconds
        self._seen: Kept[Hashable, tuple[object, float, float]] = Kept(MOST)

    def look(self, key: Hashable, lease: object, at: float) -> float:
        """It stands at a time of a clock that nobody sets; for how many seconds it was seen to. 0 where it is another
        than at the look before.
        """
        before, seconds, looked_at = self._seen.get(key) or (None, 0.0, at)
        gap = at - looked_at
        seconds = seconds + (gap if gap <= self._gap_seconds else 0.0) if before == lease else 0.0
        self._seen.keep(key, (lease, seconds, at))
        return seconds

    def forget(self, key: Hashable) -> None:
        """There is none now."""
        self._seen.forget(key)


class Renewals:
    """Renewals under way, by user, IdP and part: all who need the same wait for one."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, str, str], asyncio.Task[StoredToken | None]] = {}
        self._rests: Kept[tuple[str, str], tuple[int, float]] = Kept(MOST)
        self._watched = Watched(GAP_SECONDS)
        self.came: Counter[Came] = Counter()
        """How often each thing came of a renewal, since this process began."""

    async def join(
        self, key: tuple[str, str, str], begin: Callable[[], Awaitable[StoredToken | None]]
    ) -> StoredToken | None:
        """What the renewal under way brings, or one that begins now."""

        async def run() -> StoredToken | None:
            return await begin()

        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(run())
            task.add_done_callback(lambda done: self._over(key, done))
        # Shielded: a caller that gives up must not take the answer away from the others, nor from the vault.
        return await asyncio.shield(task)

    def _over(self, key: tuple[str, str, str], done: asyncio.Task[StoredToken | None]) -> None:
        self._under_way.pop(key, None)
        if not done.cancelled():
            done.exception()  # looked at, for there may be nobody left who waits for it

    async def close(self) -> None:
        """Let renewals under way store what they bring."""
        if self._under_way:
            await asyncio.wait(self._under_way.values(), timeout=CLOSE_SECONDS)

    def watched(self, user: str, idp: str, lease: Renewing | None) -> float:
        """For how many seconds this process has seen this very lease stand; 0 where it sees it now for the first time,
        or where there is none.
        """
        if lease is None:
            self._watched.forget((user, idp))
            return 0.0
        return self._watched.look((user, idp), lease, asyncio.get_running_loop().time())

    def rest(self, user: str, idp: str) -> float:
        """For how many seconds nobody is to ask; 0 where there is no such rest."""
        _, until = self._rests.get((user, idp)) or (0, 0.0)
        return max(0.0, until - asyncio.get_running_loop().time())

    def failed(self, user: str, idp: str, *, at_least_seconds: float = 0.0) -> float:
        """Note one more failure in a row; how many seconds nobody asks again: no fewer than the IdP asked for."""
        self.came["failed"] += 1
        failures, _ = self._rests.get((user, idp)) or (0, 0.0)
        pause = max(about(RESTS[min(failures, len(RESTS) - 1)]), at_least_seconds)
        self._rests.keep((user, idp), (failures + 1, asyncio.get_running_loop().time() + pause))
        return pause

    def succeeded(self, user: str, idp: str, *, rest_seconds: float = 0.0) -> None:
        """Whatever failed before is over. What it brought is to serve for so long, however soon it ends."""
        self.came["renewed"] += 1
        self._rests.forget((user, idp))
        if rest_seconds:
            self._rests.keep((user, idp), (0, asyncio.get_running_loop().time() + rest_seconds))


class Told:
    """Ids of events that this process has appended lately."""

    def __init__(self) -> None:
        self._ids: Kept[str, bool] = Kept(MOST)

    def has(self, event_id: str) -> bool:
        """Was it appended?"""
        return event_id in self._ids

    def note(self, event_id: str) -> None:
        """It was appended."""
        self._ids.keep(event_id, True)
