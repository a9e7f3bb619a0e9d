"""Who entered the worklist and who left it, event by event, until that has been told.

What an event moves follows from the log up to it and from nothing else: every replica keeps the same rows, whatever its
batches were. A provisioned connector may move everybody at once, so of what an event does to an IdP's needs only the
numbers are kept.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import aiosqlite

from scopefold.auth.core.webhook import Move
from scopefold.auth.store.rows import GrantSet
from scopefold.consent.concerns import grant_concerned, idp_emptied
from scopefold.contracts.events import AuthorizationFailed, ConsentDeclined, GrantRevoked, UserLoggedIn
from scopefold.contracts.recorded import Recorded

OF_NOBODY: Final = (UserLoggedIn, ConsentDeclined, AuthorizationFailed, GrantRevoked)
"""Of the events that are about no grant, those that never change what an IdP's users need."""


class Moves:
    """The moves that one file keeps: of all events after `since`; None: of none. `turn` guards the file."""

    def __init__(self, turn: asyncio.Lock) -> None:
        self.since: int | None = None
        self._turn = turn
        self._db: aiosqlite.Connection

    async def load(self, db: aiosqlite.Connection) -> None:
        """Find what the file keeps."""
        self._db = db
        self.since = next((since for (since,) in await db.execute_fetchall("SELECT since FROM moves_kept")), None)

    async def keep(self, told: int | None, folded: int) -> int | None:
        """Keep moves from now on, of all events after those that were told; None: keep none. `since`, as it is then.

        Where the file has folded more already without keeping any, what came meanwhile is not known.
        """
        async with self._turn:
            if told is None:
                await self._db.execute("DELETE FROM moves")
                await self._db.execute("DELETE FROM moves_kept")
            elif self.since is None:
                await self._db.execute("INSERT INTO moves_kept VALUES (1, ?)", (max(told, folded),))
            await self.load(self._db)
            return self.since

    def keeps(self, recorded: Recorded) -> bool:
        """Is it kept whom this event moves?"""
        return self.since is not None and recorded.seq > self.since

    def parts(self, batch: Sequence[Recorded]) -> Iterator[Sequence[Recorded]]:
        """The batch, cut so that an event which moves many stands alone: before and after it everybody is counted.

        So does in any case one that concerns everybody at an IdP: who they are is in the file.
        """
        start, kept = 0, bool(batch) and self.keeps(batch[-1])
        for place, recorded in enumerate(batch):
            if idp_emptied(recorded) or (kept and may_move_many(recorded)):
                yield from (part for part in (batch[start:place], batch[place : place + 1]) if part)
                start = place + 1
        if start < len(batch):
            yield batch[start:]

    def of_all(self, recorded: Recorded, lacked: Mapping[int, bool], sets: Iterable[GrantSet]) -> list[Move]:
        """What an event did to an IdP's needs. `lacked` says of each grant set by its number whether it lacked any."""
        entered, left = dict[str, int](), dict[str, int]()
        for one in sets:
            lacks = one.judgement.status == "missing"
            if lacks != lacked.get(one.id, lacks):
                counted = entered if lacks else left
                counted[one.idp] = counted.get(one.idp, 0) + one.users
        return [
            Move(recorded.seq, idp, "", entered.get(idp, 0), left.get(idp, 0), recorded.at, recorded.event_id)
            for idp in sorted({*entered, *left})
        ]

    async def save(self, moves: Iterable[Move]) -> None:
        """Store them, with the fold that they follow from: whoever folds has the turn."""
        rows = [(m.seq, m.idp, m.user, m.entered, m.left, m.at.isoformat(), m.event_id) for m in moves]
        await self._db.executemany("INSERT OR REPLACE INTO moves VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    async def after(self, seq: int, *, until: int | None, limit: int) -> list[Move]:
        """The moves of the events after one, up to another, in their order."""
        async with self._turn:
            rows = await self._db.execute_fetchall(
                "SELECT * FROM moves WHERE seq > ? AND seq <= coalesce(?, seq) ORDER BY seq, idp, user LIMIT ?",
                (seq, until, limit),
            )
        return [
            Move(seq, idp, user, entered, left, datetime.fromisoformat(at), event_id)
            for seq, idp, user, entered, left, at, event_id in rows
        ]

    async def forget(self, told: int) -> None:
        """Remove what was told."""
        async with self._turn:
            await self._db.execute("DELETE FROM moves WHERE seq <= ?", (told,))


def may_move_many(recorded: Recorded) -> bool:
    """May an event change what is needed, and so move users whom it does not name?"""
    return grant_concerned(recorded) is None and not isinstance(recorded.event, OF_NOBODY)


def of_user(recorded: Recorded, *, lacked: bool, lacks: bool, key: tuple[str, str]) -> Move | None:
    """What an event did to one user at an IdP; None where that is nothing."""
    if lacked == lacks:
        return None
    return Move(recorded.seq, *key, int(lacks), int(lacked), recorded.at, recorded.event_id)
