"""The worklist as it stood at an earlier moment: the same fold, over the log up to there.

Where there are segments, the moment is folded from them as far as they go, and only what follows is read from the log.

What the moment's projection needs is on disk, like the live one's, so the past costs time but no memory. The last
one is kept, for who turns its pages.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from scopefold.auth.store.projection import Projection
from scopefold.auth.store.sealed_moment import SegmentsUnusable, write_moment
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import Log, Status, status
from scopefold.ledger.moments import Moment, resolve, time_of
from scopefold.runtime.logs import logger

logs = logger(__name__)


class History:
    """Rebuilds one earlier moment at a time."""

    def __init__(self, tenant: str, directory: Path, segments: str = "") -> None:
        self._tenant = tenant
        self._directory = directory
        self._segments = segments
        self._turn = asyncio.Lock()
        self._kept: tuple[datetime, int, Projection, tempfile.TemporaryDirectory[str]] | None = None

    @asynccontextmanager
    async def at(self, log: Log, moment: Moment) -> AsyncIterator[tuple[Projection, datetime | None]]:
        """The projection at a moment, and the log's time there. Raises `NoSuchMoment`, `LogUnavailable`."""
        now = await status(log)
        seq = await resolve(log, moment, datetime.now(UTC))
        async with self._turn:
            if self._kept is None or self._kept[:2] != (now.created, seq):
                await self.forget()
                folder = tempfile.TemporaryDirectory(prefix="moment-", dir=self._directory)
                try:
                    projection = await self._folded(log, now, seq, Path(folder.name) / "moment.db")
                except BaseException:  # what came half-way is no moment: nobody may find it kept
                    folder.cleanup()
                    raise
                self._kept = (now.created, seq, projection, folder)
            yield self._kept[2], await time_of(log, seq) if seq else None

    async def _folded(self, log: Log, now: Status, seq: int, path: Path) -> Projection:
        if self._segments and seq:
            try:
                await write_moment(
                    path, self._segments, self._tenant, created=now.created, last_seq=now.last_seq, until=seq
                )
            except SegmentsUnusable as error:
                logs.warning("segments not used, folding the log from its beginning", reason=str(error))
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
        """Remove what is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept[2].close()
            kept[3].cleanup()
