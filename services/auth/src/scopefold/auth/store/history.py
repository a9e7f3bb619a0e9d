"""The worklist as it stood at an earlier moment: the same fold, over the log up to there.

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
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import Log, status
from scopefold.ledger.moments import Moment, resolve, time_of


class History:
    """Rebuilds one earlier moment at a time."""

    def __init__(self, tenant: str, directory: Path) -> None:
        self._tenant = tenant
        self._directory = directory
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
                projection = Projection(self._tenant)
                await projection.open(Path(folder.name) / "moment.db")
                try:
                    if seq:
                        await catch_up(log, None, projection.apply, until=seq)
                except BaseException:  # what came half-way is no moment: nobody may find it kept
                    await projection.close()
                    folder.cleanup()
                    raise
                self._kept = (now.created, seq, projection, folder)
            yield self._kept[2], await time_of(log, seq) if seq else None

    async def forget(self) -> None:
        """Remove what is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept[2].close()
            kept[3].cleanup()
