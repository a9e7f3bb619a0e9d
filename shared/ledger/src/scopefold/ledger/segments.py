"""A chain of segments: seal what the log has and the chain has not, and read back what was sealed."""

from collections.abc import AsyncIterator, Callable
from datetime import datetime

import pyarrow as pa
from msgspec import Struct

from scopefold.contracts.columns import SCHEMA_VERSION, BadRow, message_in, row_of
from scopefold.contracts.recorded import Quarantined, Recorded, examine
from scopefold.ledger.follow import GENESIS, chain
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import read
from scopefold.ledger.segment import (
    MAX_ROWS,
    Part,
    Seal,
    SegmentFault,
    check_chain,
    faults,
    read_seal,
    sha256,
    stem,
)
from scopefold.ledger.segment_file import SegmentWriter, Users, read_columns, read_users, rows_in
from scopefold.ledger.segment_store import Store

Told = Callable[[Seal], None]
Mask = Callable[[pa.RecordBatch], pa.BooleanArray]


async def seals_in(store: Store) -> list[Seal]:
    """All seals of a store, in the order of their ranges; not yet checked as a chain. Raises `SegmentFault`."""
    found = [read_seal(name, await store.get(name)) for name in await store.seals()]
    return sorted(found, key=lambda seal: (seal.first_seq, seal.last_seq))


async def part_of(store: Store, seal: Seal, part: Part) -> bytes:
    """A file of a segment, as it was sealed. Raises `SegmentFault`."""
    content = await store.get(part.name)
    if len(content) != part.bytes or sha256(content) != part.sha256:
        found = f"SHA-256 {sha256(content)[:12]}… instead of {part.sha256[:12]}…"
        raise SegmentFault(
            f"{part.name}: sequences {seal.first_seq} to {seal.last_seq} are not what was sealed: {found}"
        )
    return content


async def all_faults(store: Store, *, tenant: str | None = None) -> tuple[list[Seal], list[str]]:
    """The seals that can be read, and what is wrong with them, with their files and with the chain."""
    seals, wrong = [], []
    for name in await store.seals():
        try:
            seals.append(read_seal(name, await store.get(name)))
        except SegmentFault as fault:
            wrong.append(str(fault))
    wrong += faults(seals, tenant=tenant)
    for seal in seals:
        for part in seal.parts:
            try:
                await part_of(store, seal, part)
            except SegmentFault as fault:
                wrong.append(str(fault))
    return seals, wrong


class Segments(Struct, frozen=True):
    """A chain of segments that was checked, and where its files are."""

    store: Store
    seals: tuple[Seal, ...]

    @property
    def last_seq(self) -> int:
        """How far the chain goes; 0 where there is nothing."""
        return self.seals[-1].last_seq if self.seals else 0

    async def batches(
        self, *, after: int = 0, until: int | None = None, explained: bool = True
    ) -> AsyncIterator[pa.RecordBatch]:
        """The rows after a sequence in order, as columns (`segment_file.read_columns`). Raises `SegmentFault`.

        Only segments that reach beyond `after` and begin at or before `until` are read, and of the others the users
        whom they number; without `explained` the ids files are not.
        """
        users = pa.array([], pa.string())
        for seal in self.seals:
            if until is not None and seal.first_seq > until:
                return
            new = pa.array(read_users(await part_of(self.store, seal, seal.new_users)), pa.string())
            users = pa.concat_arrays([users, new])
            if seal.last_seq <= after:
                continue
            facts = await part_of(self.store, seal, seal.facts)
            ids = await part_of(self.store, seal, seal.ids) if explained else None
            for batch in read_columns(facts, ids, users):
                first, last = (batch.column("seq")[place].as_py() for place in (0, -1))
                begin = max(after + 1, first)
                end = last if until is None else min(until, last)
                if begin <= end:
                    yield batch.slice(begin - first, end - begin + 1)

    async def messages(
        self, *, after: int = 0, until: int | None = None, wanted: Mask | None = None
    ) -> AsyncIterator[list[Recorded | Quarantined]]:
        """What `examine` gave for each message that was sealed, in order. Raises `SegmentFault`.

        `wanted` says of the rows of a batch which are: nothing is made of the others.
        """
        for_tenant = self.seals[0].tenant if self.seals else ""
        async for batch in self.batches(after=after, until=until):
            chosen = batch if wanted is None else batch.filter(wanted(batch))
            try:
                yield [message_in(row, for_tenant) for row in rows_in(chosen)]
            except BadRow as error:
                raise SegmentFault(f"a segment of {for_tenant}: {error}") from None

    async def users(self) -> Users:
        """The users whom the chain has numbered."""
        known: list[str] = []
        for seal in self.seals:
            known += read_users(await part_of(self.store, seal, seal.new_users))
        return Users(known)


async def open_segments(store: Store, *, tenant: str | None = None, created: datetime | None = None) -> Segments:
    """The chain in a store. Raises `SegmentFault` where it is none, or of another tenant or log than those named."""
    seals = await seals_in(store)
    check_chain(seals, tenant=tenant, created=created)
    return Segments(store, tuple(seals))


async def seal_log(
    log: Log, store: Store, *, tenant: str, upto: int | None = None, most: int = MAX_ROWS, told: Told = lambda _: None
) -> Segments:
    """Seal what the log has and the store has not, up to `upto` or the log's present end; the chain that then is.

    One at a time may do so: two would seal ranges that overlap, which every reader then refuses. Raises
    `SegmentFault`, `LogUnavailable`, `LogGap`.
    """
    now = await status(log)
    end = now.last_seq if upto is None else min(upto, now.last_seq)
    segments = await open_segments(store, tenant=tenant, created=now.created)
    if segments.last_seq > now.last_seq:
        seal = segments.seals[-1]
        raise SegmentFault(f"{seal.name}: it ends at {seal.last_seq}, but the log at sequence {now.last_seq}")
    users = await segments.users() if segments.last_seq < end else Users()
    while segments.last_seq < end:
        last = min(segments.last_seq + most, end)
        before = segments.seals[-1] if segments.seals else None
        seal = await _seal(log, store, before, users, last=last, tenant=tenant, created=now.created)
        segments = Segments(store, (*segments.seals, seal))
        told(seal)
    return segments


async def _seal(
    log: Log, store: Store, before: Seal | None, users: Users, *, last: int, tenant: str, created: datetime
) -> Seal:
    first = before.last_seq + 1 if before else 1
    running = hash_before = before.hash_after if before else GENESIS
    users_before = len(users.ids)
    writer = SegmentWriter(users)
    times: list[datetime] = []
    async for messages in read(log, after=first - 1, until=last):
        running = chain(running, messages)
        writer.add([row_of(examine(message), tenant) for message in messages])
        times = [times[0] if times else messages[0].at, messages[-1].at]
    written = writer.close()
    if writer.rows != last - first + 1:
        raise SegmentFault(f"{stem(first, last)}: the log gave {writer.rows} messages from sequence {first} to {last}")
    names = [f"{stem(first, last)}.{part}.parquet" for part in ("facts", "ids", "users")]
    contents = (written.facts, written.ids, written.users)
    facts, ids, new = (Part(name, len(it), sha256(it)) for name, it in zip(names, contents, strict=True))
    seal = Seal(
        schema_version=SCHEMA_VERSION,
        tenant=tenant,
        created=created,
        first_seq=first,
        last_seq=last,
        first_at=times[0],
        last_at=times[-1],
        rows=writer.rows,
        hash_before=hash_before,
        hash_after=running,
        users_before=users_before,
        users=len(users.ids) - users_before,
        types=tuple(sorted(writer.types)),
        previous=sha256(before.content) if before else "",
        facts=facts,
        ids=ids,
        new_users=new,
    )
    for name, content in zip(names, contents, strict=True):
        await store.put(name, content)
    await store.put(seal.name, seal.content)  # last: without its seal, what is there counts for nothing
    return seal


async def compare(log: Log, segments: Segments) -> None:
    """Read what was sealed and what the log has, side by side. Raises `SegmentFault` at the first difference."""
    now = await status(log)
    check_chain(segments.seals, created=now.created)
    running = GENESIS
    sealed = _one_by_one(segments)
    for seal in segments.seals:
        async for messages in read(log, after=seal.first_seq - 1, until=seal.last_seq):
            running = chain(running, messages)
            for message in messages:
                if await anext(sealed, None) != examine(message):
                    raise SegmentFault(f"{seal.facts.name}: sequence {message.seq} is not what the log has there")
        if running != seal.hash_after:
            raise SegmentFault(f"{seal.name}: the running hash at sequence {seal.last_seq} is not that of the log")


async def _one_by_one(segments: Segments) -> AsyncIterator[Recorded | Quarantined]:
    async for page in segments.messages():
        for one in page:
            yield one
