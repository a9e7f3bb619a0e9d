"""Sealed segments of a real log: what was read comes back, and what is not as it was sealed is refused by name."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from hypothesis import given, settings

from scopefold.contracts.columns import row_of
from scopefold.contracts.events import UserLoggedIn
from scopefold.contracts.recorded import Quarantined, Recorded, examine
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import GENESIS, chain
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import read
from scopefold.ledger.segment_file import SegmentWriter, Users, read_columns, read_users, rows_in
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import Segments, compare, open_segments, seal_log
from tests.support.any_event import any_messages

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def put(log: Log, first: int, last: int) -> None:
    """Messages from a sequence to another; every third is no event."""
    for number in range(first, last + 1):
        if number % 3 == 0:
            await log.js.publish("ledger.default.idp.atlassian.removed", b"{}")
        else:
            event = UserLoggedIn(user=f"u_somebody-{number % 4}", idp="atlassian", client="playground")
            new = [NewEvent(f"event-{number:04}", event)]
            await append(log, new, tenant="default", publisher="auth", now=NOW)


async def told(segments: Segments, until: int | None = None) -> list[Recorded | Quarantined]:
    return [one async for page in segments.messages(until=until) for one in page]


async def examined(log: Log) -> list[Recorded | Quarantined]:
    return [examine(message) async for page in read(log) for message in page]


@settings(max_examples=20, deadline=None)
@given(any_messages(most=20))
def test_files_give_back_exactly_what_was_written(messages: list[Recorded | Quarantined]) -> None:
    from scopefold.contracts.columns import message_in

    users = Users()
    rows = [row_of(one, "default") for one in messages]
    cut = len(rows) // 2
    arrays, found = [], []
    for part in (rows[:cut], rows[cut:]):
        writer = SegmentWriter(users)
        writer.add(part)
        written = writer.close()
        arrays += read_users(written.users)
        import pyarrow as pa

        for batch in read_columns(written.facts, written.ids, pa.array(arrays, pa.string())):
            found += [message_in(row, "default") for row in rows_in(batch)]
    assert messages == found
    assert msgspec.json.encode(messages) == msgspec.json.encode(found)
    assert users.ids == arrays


async def test_what_is_sealed_in_parts_reads_as_the_log(log: Log, tmp_path: Path) -> None:
    store = Folder(tmp_path / "segments")
    await put(log, 1, 7)
    first = await seal_log(log, store, tenant="default", most=3, upto=5)
    assert [(1, 3), (4, 5)] == [(seal.first_seq, seal.last_seq) for seal in first.seals]
    await put(log, 8, 10)
    await seal_log(log, store, tenant="default", most=3)
    segments = await open_segments(store, tenant="default", created=(await status(log)).created)
    assert [3, 5, 8, 10] == [seal.last_seq for seal in segments.seals]
    whole = await examined(log)
    assert whole == await told(segments)
    for until in range(12):
        assert whole[:until] == await told(segments, until)
    await compare(log, segments)
    running = GENESIS
    async for page in read(log):
        running = chain(running, page)
    assert running == segments.seals[-1].hash_after
    again = await seal_log(log, store, tenant="default", most=3)
    assert again.seals == segments.seals


async def test_a_user_is_numbered_once_along_the_chain(log: Log, tmp_path: Path) -> None:
    await put(log, 1, 12)
    segments = await seal_log(log, Folder(tmp_path), tenant="default", most=4)
    assert [(0, 3), (3, 1), (4, 0)] == [(seal.users_before, seal.users) for seal in segments.seals]
