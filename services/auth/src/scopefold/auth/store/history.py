"""What was so at an earlier moment: the same fold, over the log up to there.

What a moment's projection needs is on disk, like the live one's, so the past costs time but no memory. The last two are
kept, for who turns pages, and for who compares: a later moment begins as a copy of the nearest one that is kept.
Where there are segments, a moment is folded from them as far as they go, and only what follows is read from the log.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct

from scopefold.auth.store.comparing import compared
from scopefold.auth.store.database import copied
from scopefold.auth.store.named import place_named
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.sealed_moment import SegmentsUnusable, write_moment
from scopefold.consent.difference import Diff
from scopefold.contracts.recorded import AsOf
from scopefold.ledger.events import events_of_idps
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import Log, Status, status
from scopefold.ledger.moment import Moment
from scopefold.ledger.moments import as_of, resolve, stands_at
from scopefold.runtime.logs import logger

logs = logger(__name__)
MOST_KEPT: Final = 2
FILE: Final = "moment.db"
PREFIX: Final = "moment-"


class BackwardsError(ValueError):
    """The second of two moments is before the first."""


class _Kept(Struct, frozen=True):
    """One moment's projection, and where it is."""

    created: datetime
    seq: int
    projection: Projection
    folder: tempfile.TemporaryDirectory[str]

    @property
    def path(self) -> Path:
        return Path(self.folder.name) / FILE

    async def close(self) -> None:
        await self.projection.close()
        self.folder.cleanup()


class History:
    """Rebuilds earlier moments, for one question at a time. `live`: the file of the projection that follows the log."""

    def __init__(self, tenant: str, directory: Path, segments: str = "", live: Path | None = None) -> None:
        self._tenant = tenant
        self._live = live
        self._directory = directory
        self._segments = segments
        self._turn = asyncio.Lock()
        self._kept: list[_Kept] = []
        """The one that was asked for last stands last."""
        self._taken: int | None = None

    def take_place(self) -> None:
        """Say for as long as this process lives that it may have moments here, and remove those that a process left
        which was killed, where no other lives: one of theirs may be in use. To be called before any is made.

        The kernel drops the lock with its process, however that ends. Raises `OSError`.
        """
        self._taken = os.open(self._directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._taken, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            for left in self._directory.glob(f"{PREFIX}*"):
                shutil.rmtree(left)
        fcntl.flock(self._taken, fcntl.LOCK_SH)

    async def place(self, log: Log, moment: Moment) -> int:
        """As `moments.resolve`. An id that a user's grant goes back to is found however long ago that was."""
        if isinstance(moment, str) and self._live is not None:
            seq = await place_named(self._live, moment)
            if seq is not None and await stands_at(log, moment, seq):
                return seq
        return await resolve(log, moment, datetime.now(UTC))

    @asynccontextmanager
    async def at(self, log: Log, moment: Moment) -> AsyncIterator[tuple[Projection, AsOf]]:
        """The projection at a moment, and which that is. Raises `NoSuchMoment`, `LogUnavailable`."""
        now = await status(log)
        seq = await self.place(log, moment)
        async with self._turn:
            kept = await self._standing(log, now, seq)
            yield kept.projection, await as_of(log, seq)

    async def difference(self, log: Log, first: Moment, second: Moment | None, *, idp: str | None, limit: int) -> Diff:
        """What changed from one moment to a later one, or to the log's end.

        Raises `NoSuchMoment`, `BackwardsError`, `NotThere`, `LogUnavailable`.
        """
        now = await status(log)
        begin = await self.place(log, first)
        end = now.last_seq if second is None else await self.place(log, second)
        if end < begin:
            raise BackwardsError(f"It is event {end}, and the first {begin}.")
        between = await events_of_idps(log, self._tenant, after=begin, until=end)
        async with self._turn:
            before = await self._standing(log, now, begin)
            after = await self._standing(log, now, end)
            sides = ((before.path, before.projection), (after.path, after.projection))
            return await compared(
                *sides,
                between,
                places=(await as_of(log, begin), await as_of(log, end)),
                idp=idp,
                limit=limit,
            )

    async def _standing(self, log: Log, now: Status, seq: int) -> _Kept:
        """What is kept of a sequence, or is now."""
        found = next((one for one in self._kept if (one.created, one.seq) == (now.created, seq)), None)
        if found is None:
            found = await self._rebuilt(log, now, seq)
            while len(self._kept) >= MOST_KEPT:
                await self._kept.pop(0).close()
        else:
            self._kept.remove(found)
        self._kept.append(found)
        return found

    async def _rebuilt(self, log: Log, now: Status, seq: int) -> _Kept:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX, dir=self._directory)
        try:
            projection = await self._folded(log, now, seq, Path(folder.name) / FILE)
        except BaseException:  # what came half-way is no moment: nobody may find it kept
            folder.cleanup()
            raise
        return _Kept(now.created, seq, projection, folder)

    async def _folded(self, log: Log, now: Status, seq: int, path: Path) -> Projection:
        if self._segments and seq:
            try:
                await write_moment(
                    path, self._segments, self._tenant, created=now.created, last_seq=now.last_seq, until=seq
                )
            except SegmentsUnusable as error:
                logs.warning("segments not used, folding the log from its beginning", reason=str(error))
        earlier = [one for one in self._kept if one.created == now.created and one.seq < seq]
        if earlier and not self._segments:
            await copied(max(earlier, key=lambda one: one.seq).path, path)
        projection = Projection(self._tenant)
        await projection.open(path)
        try:
            if seq:
                await catch_up(log, projection.checkpoint, projection.apply, until=seq)
        except BaseException:
            await projection.close()
            raise
        return projection

    async def forget(self) -> None:
        """Remove what is kept, and let go of the place."""
        while self._kept:
            await self._kept.pop().close()
        if self._taken is not None:
            os.close(self._taken)
            self._taken = None
