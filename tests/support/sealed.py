"""Chains of segments made without a bus, of messages or of files that are there already."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from scopefold.contracts.columns import SCHEMA_VERSION, row_of
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.follow import GENESIS
from scopefold.ledger.segment import Part, Seal, sha256, stem
from scopefold.ledger.segment_file import SegmentWriter, Users, Written
from scopefold.ledger.segment_store import Store
from scopefold.ledger.segments import Segments

CREATED: Final = datetime(2026, 1, 1, tzinfo=UTC)


async def sealed(store: Store, parts: Sequence[Sequence[Recorded | Quarantined]]) -> Segments:
    """The chain in which each of these parts of a log is a segment. None of them is empty."""
    users = Users()
    segments = Segments(store, ())
    for part in parts:
        before = len(users.ids)
        writer = SegmentWriter(users)
        writer.add([row_of(one, "default") for one in part])
        written = writer.close()
        ends = (part[0].at, part[-1].at)
        new = len(users.ids) - before
        segments = await with_segment(
            segments, written, rows=len(part), ends=ends, users=new, types=tuple(sorted(writer.types))
        )
    return segments


async def with_segment(
    segments: Segments,
    written: Written,
    *,
    rows: int,
    ends: tuple[datetime, datetime],
    users: int,
    types: tuple[str, ...],
) -> Segments:
    """The chain with one more segment, whose files are given. Its running hash stands for no messages."""
    before = segments.seals[-1] if segments.seals else None
    first, last = segments.last_seq + 1, segments.last_seq + rows
    contents = (written.facts, written.ids, written.users)
    names = [f"{stem(first, last)}.{part}.parquet" for part in ("facts", "ids", "users")]
    facts, ids, new = (Part(name, len(it), sha256(it)) for name, it in zip(names, contents, strict=True))
    seal = Seal(
        schema_version=SCHEMA_VERSION,
        tenant="default",
        created=CREATED,
        first_seq=first,
        last_seq=last,
        first_at=ends[0],
        last_at=ends[1],
        rows=rows,
        hash_before=before.hash_after if before else GENESIS,
        hash_after=hashlib.sha256(stem(first, last).encode()).hexdigest(),
        users_before=before.users_before + before.users if before else 0,
        users=users,
        types=types,
        previous=sha256(before.content) if before else "",
        facts=facts,
        ids=ids,
        new_users=new,
    )
    for name, content in zip(names, contents, strict=True):
        await segments.store.put(name, content)
    await segments.store.put(seal.name, seal.content)
    return Segments(segments.store, (*segments.seals, seal))
