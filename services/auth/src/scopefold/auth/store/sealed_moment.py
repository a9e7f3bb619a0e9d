"""The projection of a moment made from sealed segments, in place of a replay of the whole log (ADR 0046).

Folding in bulk keeps a processor busy for seconds, so it is done in a thread with a loop of its own, which leaves
nothing behind but the file. Needs the extra `segments`, so what it uses is imported where it is used.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import save_scopes
from scopefold.consent import idp_scopes
from scopefold.consent.reconsent import UserGrant
from scopefold.ledger.follow import Checkpoint

AT_ONCE: Final = 50_000
"""So many users are in memory at a time, and all segments are read once for each so many."""
_json = msgspec.json.Encoder(order="deterministic")


class SegmentsUnusable(RuntimeError):
    """The segments are damaged, of another log, or cannot be reached; the message says which."""


class _Begun(Projection):
    """A projection that begins with what was folded elsewhere. Of the quarantine it knows nothing."""

    async def begin(
        self, scopes: idp_scopes.State, users: AsyncIterator[Sequence[UserGrant]], reached: Checkpoint
    ) -> None:
        """Fill an empty file, in one transaction."""
        await self._db.execute("BEGIN IMMEDIATE")
        try:
            self.scopes = scopes
            await save_scopes(self._db, scopes)
            async for part in users:
                await self._save_grants([(None, grant) for grant in part], rejudge=())
            await self._db.execute("INSERT INTO checkpoint VALUES (1, ?)", (_json.encode(reached),))
            await self._db.execute("COMMIT")
        except BaseException:
            await self._db.execute("ROLLBACK")
            raise


async def write_moment(path: Path, place: str, tenant: str, *, created: datetime, last_seq: int, until: int) -> None:
    """Write the projection as it stood at `until`, or as far before it as segments go; without any, nothing.

    `created` and `last_seq` are the log's. What was begun is always ended: a thread cannot be stopped. Raises
    `SegmentsUnusable`, and then the file holds nothing.
    """
    writing = asyncio.create_task(
        asyncio.to_thread(asyncio.run, _write(path, place, tenant, created=created, last_seq=last_seq, until=until))
    )
    try:
        await asyncio.shield(writing)
    except asyncio.CancelledError:
        await asyncio.gather(writing, return_exceptions=True)
        raise


async def _write(path: Path, place: str, tenant: str, *, created: datetime, last_seq: int, until: int) -> None:
    from scopefold.ledger import segment_store
    from scopefold.ledger.segment import SegmentFault
    from scopefold.ledger.segments import open_segments
    from scopefold.runtime.past import folded

    projection = _Begun(tenant)
    await projection.open(path)
    try:
        segments = await open_segments(segment_store.place(place), tenant=tenant, created=created)
        if segments.last_seq > last_seq:
            raise SegmentFault(f"the segments go to sequence {segments.last_seq}, but the log to {last_seq}")
        if segments.last_seq:
            past = await folded(segments, tenant=tenant, until=min(until, segments.last_seq))
            # Inside a segment the running hash is not known. Nobody goes on from there: the moment is reached.
            running = segments.seals[-1].hash_after if until >= segments.last_seq else ""
            reached = Checkpoint(created, min(until, segments.last_seq), running)
            await projection.begin(past.bulk.scopes, past.grants(at_once=AT_ONCE), reached)
    except (SegmentFault, OSError) as error:
        raise SegmentsUnusable(str(error)) from None
    finally:
        await projection.close()
