"""The worklist from sealed segments: folded in bulk, from the nearest place up to which the fold was kept.

For commands and for services alike. Needs the extra `past`, so it is imported where it is used.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scopefold.consent.bulk import Bulk
from scopefold.consent.bulk_difference import BulkDifference
from scopefold.consent.bulk_worklist import BulkWorklist, Part, explained
from scopefold.consent.chosen import Chosen, Order
from scopefold.consent.difference import Difference
from scopefold.consent.intake import EXPLAINED, Intake
from scopefold.consent.kept import Unusable, kept, restored
from scopefold.consent.reconsent import Row, UserGrant
from scopefold.consent.shapes import EPOCH, sequences
from scopefold.contracts.columns import BadRow, row_of
from scopefold.contracts.recorded import Cause, Quarantined, Recorded
from scopefold.ledger.segment import Part as PartFile
from scopefold.ledger.segment import Seal, SegmentFault, sha256, stem
from scopefold.ledger.segment_file import LOGICAL
from scopefold.ledger.segments import Segments, part_of

FEW_VALUES: Final = ["type", "idp", "publisher", "detail"]
SUFFIX: Final = ".fold"
_MICROSECOND: Final = timedelta(microseconds=1)


class Past:
    """What a chain of segments, and what follows it in the log, say at one moment."""

    def __init__(self, segments: Segments, bulk: Bulk, users: Any, tail: Sequence[Recorded | Quarantined]) -> None:
        self._segments = segments
        self._tail = {one.seq: one.cause for one in tail if isinstance(one, Recorded)}
        self.bulk = bulk
        self.worklist = BulkWorklist(bulk, users)

    async def rows(self, part: Part) -> tuple[Row, ...]:
        """The rows of a part of the worklist. Raises `SegmentFault`."""
        return part.rows(await self.causes(part.sequences))

    async def listed(self, chosen: Chosen, order: Order, limit: int | None = None) -> list[Row]:
        """The first rows of a part of the worklist, or all of them. Raises `SegmentFault`."""
        parts = list(self.worklist.listed(chosen, order, limit)) if limit != 0 else []
        return await self._rows_of(parts)

    async def all_rows(self, chosen: Chosen, *, at_once: int) -> AsyncIterator[list[Row]]:
        """All rows of a part of the worklist in the order of its pages, at least so many at a time but for the last:
        for each time all files are read. Raises `SegmentFault`.
        """
        parts = list[Part]()
        for part in self.worklist.listed(chosen, "idp"):
            parts.append(part)
            if sum(len(one.held) for one in parts) >= at_once:
                yield await self._rows_of(parts)
                parts = []
        if parts:
            yield await self._rows_of(parts)

    async def _rows_of(self, parts: Sequence[Part]) -> list[Row]:
        causes = await self.causes(frozenset().union(*(part.sequences for part in parts)))  # each file is read once
        return [row for part in parts for row in part.rows(causes)]

    async def grants(self, *, at_once: int) -> AsyncIterator[list[UserGrant]]:
        """What everybody holds, and who was erased, so many at a time: for each part all files are read.

        Raises `SegmentFault`.
        """
        everybody = self.worklist.grants()
        while part := list(islice(everybody, at_once)):
            causes = await self.causes(frozenset().union(*map(sequences, part)))
            yield [explained(grant, causes) for grant in part]

    async def causes(self, sequences: frozenset[int]) -> dict[int, Cause]:
        """The causes at these sequences. Raises `SegmentFault`."""
        found = {seq: self._tail[seq] for seq in sequences & self._tail.keys()}
        for seal in self._segments.seals:
            wanted = sorted(seq for seq in sequences if seal.first_seq <= seq <= seal.last_seq)
            if wanted:
                places = [seq - seal.first_seq for seq in wanted]
                at = await _taken(self._segments, seal, seal.facts, ["at"], places)
                ids = await _taken(self._segments, seal, seal.ids, ["event_id"], places)
                times = [EPOCH + micros * _MICROSECOND for micros in at["at"].cast(pa.int64()).to_pylist()]
                told = zip(wanted, times, ids["event_id"].to_pylist(), strict=True)
                found |= {seq: Cause(seq, time, event_id) for seq, time, event_id in told}
        return found


async def compared(
    before: Past, after: Past, between: Sequence[Recorded], *, idp: str | None = None, limit: int
) -> Difference:
    """What changed from one moment to a later one of the same segments, as `Comparison` has it. Raises
    `SegmentFault`.
    """
    found = BulkDifference(before.worklist, after.worklist, between, idp=idp, limit=limit)
    return found.told(await after.causes(found.sequences))


async def folded(
    segments: Segments,
    *,
    tenant: str,
    until: int | None = None,
    tail: Sequence[Recorded | Quarantined] = (),
    keep: bool = False,
    earlier: Past | None = None,
) -> Past:
    """Fold the segments up to `until`, or all of them and then `tail`, which follows them in the log.

    With `keep`, the fold is kept beside each segment that is folded, so that the next one begins there. `earlier` is a
    moment of the same segments, without a tail, from which the fold may go on. Raises `SegmentFault`.
    """
    seals = [seal for seal in segments.seals if until is None or seal.first_seq <= until]
    users = pa.concat_arrays([pa.array([], pa.string()), *[await _users(segments, seal) for seal in seals]])
    intake = Intake(tenant, users)
    bulk = await _nearest(segments, [seal for seal in seals if until is None or seal.last_seq <= until], earlier)
    for seal in seals:
        if seal.last_seq <= bulk.seq:
            continue
        whole = until is None or seal.last_seq <= until
        begin = max(0, bulk.seq + 1 - seal.first_seq)
        table = (await _facts(segments, seal)).slice(begin)
        if not whole and until is not None:
            table = table.slice(0, until - seal.first_seq + 1 - begin)
        wanting = intake.wanting(table)
        explained = await _taken(segments, seal, seal.ids, EXPLAINED, wanting + begin) if len(wanting) else None
        try:
            bulk.fold(intake.facts(table, explained))
        except BadRow as error:
            raise SegmentFault(f"{seal.facts.name}: {error}") from None
        if keep and whole:
            await segments.store.put(stem(seal.first_seq, seal.last_seq) + SUFFIX, kept(bulk, sha256(seal.content)))
    if tail:
        bulk.fold(intake.facts(pa.Table.from_pylist([row_of(one, tenant)._asdict() for one in tail], LOGICAL)))
    return Past(segments, bulk, intake.users, tail)


async def _nearest(segments: Segments, seals: Sequence[Seal], earlier: Past | None) -> Bulk:
    """The fold that was kept, as this version folds, beside the last of these segments; or one that goes on from the
    earlier moment, where that is nearer.
    """
    known = earlier.bulk.seq if earlier is not None else 0
    for seal in reversed([one for one in seals if one.last_seq > known]):
        try:
            content = await segments.store.get(stem(seal.first_seq, seal.last_seq) + SUFFIX)
            return restored(content, sha256(seal.content))
        except (SegmentFault, Unusable):
            continue
    return earlier.bulk.copy() if earlier is not None else Bulk()


async def _facts(segments: Segments, seal: Seal) -> Any:
    content = await part_of(segments.store, seal, seal.facts)
    return pq.read_table(pa.BufferReader(content), read_dictionary=FEW_VALUES)


async def _users(segments: Segments, seal: Seal) -> Any:
    content = await part_of(segments.store, seal, seal.new_users)
    return pq.read_table(pa.BufferReader(content))["user"].combine_chunks()


async def _taken(segments: Segments, seal: Seal, part: PartFile, columns: Sequence[str], places: Any) -> Any:
    """These places of a file's columns. Of its row groups only those are read in which one of them is."""
    file = pq.ParquetFile(pa.BufferReader(await part_of(segments.store, seal, part)))
    sizes = np.array([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)])
    ends, rows = np.cumsum(sizes), np.asarray(places)
    groups = np.searchsorted(ends, rows, side="right")
    wanted = np.unique(groups)
    passed_over = np.cumsum(np.where(np.isin(np.arange(len(sizes)), wanted), 0, sizes))
    table = file.read_row_groups(wanted.tolist(), columns=list(columns))
    return table.take(pa.array(rows - passed_over[groups]))
