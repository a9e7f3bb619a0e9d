"""Moments of a log that is at hand only as segments: the grammar of `moments`, resolved in the files."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from scopefold.contracts.recorded import AsOf
from scopefold.ledger.moment import Moment, NoSuchMoment, no_event
from scopefold.ledger.segments import Segments, part_of

BEFORE: Final = 0
"""The sequence of the moment before the first event."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


async def resolve_in(segments: Segments, moment: Moment | None, now: datetime) -> int:
    """The last sequence at a moment; without one, the segments' end. For an event's id, that event's own.

    What came after the segments is not in them: a time after their last event is refused, as is the future. Raises
    `NoSuchMoment`, `SegmentFault`.
    """
    last = segments.seals[-1] if segments.seals else None
    if moment is None or last is None:
        if moment not in (None, BEFORE):
            raise NoSuchMoment("There are no segments here.")
        return segments.last_seq
    if isinstance(moment, int):
        if moment > last.last_seq:
            raise NoSuchMoment(f"The segments end at sequence {last.last_seq}.")
        return moment
    if isinstance(moment, str):
        return await _seq_of(segments, moment)
    if moment > now:
        raise NoSuchMoment(f"{moment.isoformat()} has not come yet.")
    if moment > last.last_at:
        raise NoSuchMoment(f"The segments end at sequence {last.last_seq}, of {last.last_at.isoformat()}.")
    began = min(last.created, segments.seals[0].first_at)  # a log that was restored is younger than its first event
    if moment < began:
        raise NoSuchMoment(f"The log began at {began.isoformat()}.")
    return await _seq_at(segments, moment)


async def as_of_in(segments: Segments, seq: int) -> AsOf:
    """A place in the log, and its time there; 0: before its first event. Raises `NoSuchMoment`, `SegmentFault`."""
    if seq == BEFORE:
        return AsOf(BEFORE)
    for seal in segments.seals:
        if seal.first_seq <= seq <= seal.last_seq:
            facts = pa.BufferReader(await part_of(segments.store, seal, seal.facts))
            times = pq.read_table(facts, columns=["at"]).column("at")
            micros = times[seq - seal.first_seq].cast(pa.int64()).as_py()
            return AsOf(seq, _EPOCH + timedelta(microseconds=micros))
    raise NoSuchMoment(f"The segments end at sequence {segments.last_seq}.")


async def _seq_at(segments: Segments, moment: datetime) -> int:
    """The last sequence at a time. The log's times never go back."""
    for seal in reversed(segments.seals):
        if seal.first_at <= moment:
            facts = pa.BufferReader(await part_of(segments.store, seal, seal.facts))
            times = pq.read_table(facts, columns=["at"]).column("at")
            upto = pc.sum(pc.less_equal(times, pa.scalar(moment, times.type))).as_py()
            return seal.first_seq - 1 + int(upto)
    return BEFORE


async def _seq_of(segments: Segments, event_id: str) -> int:
    """The sequence of the event with this id; where it stands twice, its latest place."""
    for seal in reversed(segments.seals):
        ids = pq.read_table(
            pa.BufferReader(await part_of(segments.store, seal, seal.ids)),
            columns=["seq", "event_id"],
            filters=[("event_id", "=", event_id)],
        )
        if ids.num_rows:
            return int(pc.max(ids.column("seq")).as_py())
    raise no_event(event_id, "the segments")
