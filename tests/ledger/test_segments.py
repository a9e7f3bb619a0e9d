"""Sealed segments of a real log: what was read comes back, and what is not as it was sealed is refused by name."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from scopefold.contracts.columns import SCHEMA_VERSION, message_in, row_of
from scopefold.contracts.events import UserLoggedIn
from scopefold.contracts.recorded import Quarantined, Recorded, examine
from scopefold.ledger import segment_file
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import GENESIS, chain
from scopefold.ledger.log import STREAM, Log, declare, status
from scopefold.ledger.read import read
from scopefold.ledger.segment import Seal, SegmentFault, faults
from scopefold.ledger.segment_file import SegmentWriter, Users, read_columns, read_users, rows_in
from scopefold.ledger.segment_store import Bucket, Folder, OnBus, Store
from scopefold.ledger.segments import Segments, all_faults, compare, open_segments, seal_log
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
    users = Users()
    rows = [row_of(one, "default") for one in messages]
    cut = len(rows) // 2
    arrays, found = [], []
    for part in (rows[:cut], rows[cut:]):
        writer = SegmentWriter(users)
        writer.add(part)
        written = writer.close()
        arrays += read_users(written.users)
        for batch in read_columns(written.facts, written.ids, pa.array(arrays, pa.string())):
            found += [message_in(row, "default") for row in rows_in(batch)]
    assert messages == found
    assert msgspec.json.encode(messages) == msgspec.json.encode(found)
    assert users.ids == arrays


@pytest.mark.parametrize("rows", [2, segment_file.ROW_GROUP])
async def test_what_is_sealed_in_parts_reads_as_the_log(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(segment_file, "ROW_GROUP", rows)
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


@pytest.fixture
async def chained(log: Log, tmp_path: Path) -> AsyncIterator[tuple[Path, Segments]]:
    """Sequences 1 to 9 in three segments of three."""
    await put(log, 1, 9)
    yield tmp_path, await seal_log(log, Folder(tmp_path), tenant="default", most=3)


@pytest.mark.parametrize("part", ["facts", "ids", "users"])
async def test_a_file_that_was_changed_is_refused_by_name(chained: tuple[Path, Segments], part: str) -> None:
    folder, segments = chained
    name = f"000000000004-000000000006.{part}.parquet"
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(SegmentFault, match=f"^{name}: sequences 4 to 6 are not what was sealed: SHA-256"):
        await told(segments)
    _, wrong = await all_faults(Folder(folder))
    assert [name] == [fault.partition(":")[0] for fault in wrong]


async def test_a_file_that_is_gone_is_named(chained: tuple[Path, Segments]) -> None:
    folder, segments = chained
    (folder / "000000000004-000000000006.ids.parquet").unlink()
    with pytest.raises(SegmentFault, match=r"^000000000004-000000000006\.ids\.parquet: there is no such file"):
        await told(segments)


SECOND = "000000000004-000000000006.seal.json"
THIRD = "000000000007-000000000009.seal.json"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda a, b, c: [a, c], f"{THIRD}: a gap: sequences 4 to 6 are missing before it"),
        (lambda a, b, c: [b, c], f"{SECOND}: a gap: sequences 1 to 3 are missing before it"),
        (
            lambda a, b, c: [a, replace(b, first_seq=3), c],
            "000000000003-000000000006.seal.json: an overlap: sequence 3 is in the segment before it too",
        ),
        (
            lambda a, b, c: [a, replace(b, hash_before=c.hash_before), c],
            f"{SECOND}: the running hash before sequence 4 is not that of the segment before it",
        ),
        (
            lambda a, b, c: [replace(a, hash_before=b.hash_before), b, c],
            "000000000001-000000000003.seal.json: the running hash before sequence 1 is not that of the segment",
        ),
        (
            lambda a, b, c: [a, replace(b, tenant="other"), c],
            f"{SECOND}: sequence 4 is of another tenant: other instead of default",
        ),
        (
            lambda a, b, c: [a, replace(b, created=NOW), c],
            f"{SECOND}: sequence 4 is of another log: that of 2026-01-01T00:00:00Z instead of that of ",
        ),
        (
            lambda a, b, c: [replace(a, last_at=NOW), b, c],
            f"{SECOND}: at sequence 4 it goes on from another seal than the one before it",
        ),
    ],
)
async def test_a_chain_that_is_none_is_refused_by_file_and_sequence(
    chained: tuple[Path, Segments], change: Callable[..., list[Seal]], expected: str
) -> None:
    seals = change(*chained[1].seals)
    first = next(iter(faults(seals)))
    assert first.startswith(expected), first


async def test_segments_of_another_tenant_or_log_than_wanted_are_refused(chained: tuple[Path, Segments]) -> None:
    store = Folder(chained[0])
    with pytest.raises(SegmentFault, match="sequence 1 is of another tenant: default instead of other"):
        await open_segments(store, tenant="other")
    with pytest.raises(SegmentFault, match="sequence 1 is of another log"):
        await open_segments(store, created=NOW)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"schema_version": SCHEMA_VERSION + 1, "rows": "of another kind"}, "from sequence 4 has schema version 2; "),
        ({"types": ["token-renewed.v1"]}, "from sequence 4 has the type token-renewed.v1, which this version"),
        ({"rows": 4}, "4 rows cannot be sequences 4 to 6"),
        ({"first_seq": 5}, "the seal within is of 000000000005-000000000006.seal.json, from sequence 5"),
        ({"facts": {"name": "../x", "bytes": 1, "sha256": ""}}, "the seal within is of"),
        ({"tenant": 7}, "this is no seal: "),
    ],
)
async def test_a_seal_that_cannot_be_read_is_refused_by_name(
    chained: tuple[Path, Segments], changed: dict[str, object], expected: str
) -> None:
    seal = {**msgspec.json.decode(chained[1].seals[1].content), **changed}
    (chained[0] / SECOND).write_bytes(msgspec.json.encode(seal))
    with pytest.raises(SegmentFault) as refused:
        await open_segments(Folder(chained[0]))
    assert str(refused.value).startswith(f"{SECOND}: ")
    assert expected in str(refused.value)


async def test_another_log_is_not_sealed_onto_a_chain(log: Log, chained: tuple[Path, Segments]) -> None:
    await log.js.delete_stream(STREAM)
    await declare(log)
    await put(log, 1, 12)
    with pytest.raises(SegmentFault, match="sequence 1 is of another log"):
        await seal_log(log, Folder(chained[0]), tenant="default")


async def test_segments_that_say_otherwise_than_the_log_are_found(log: Log, chained: tuple[Path, Segments]) -> None:
    """A chain that is whole in itself, and was made of another log."""
    _, segments = chained
    await compare(log, segments)
    forged = replace(segments.seals[-1], hash_after=GENESIS)
    with pytest.raises(SegmentFault, match=f"^{THIRD}: the running hash at sequence 9 is not that of the log"):
        await compare(log, Segments(segments.store, (*segments.seals[:-1], forged)))


class Dying:
    """A store whose machine dies before a certain file is written."""

    def __init__(self, store: Store, last_words: str) -> None:
        self._store, self._last_words = store, last_words
        self.seals, self.get = store.seals, store.get

    async def put(self, name: str, content: bytes) -> None:
        if name.endswith(self._last_words):
            raise OSError("the machine died")
        await self._store.put(name, content)


@pytest.mark.parametrize("dies_before", ["facts.parquet", "ids.parquet", "users.parquet", "seal.json"])
async def test_a_crash_leaves_no_half_segment(log: Log, tmp_path: Path, dies_before: str) -> None:
    await put(log, 1, 5)
    store = Folder(tmp_path)
    with pytest.raises(OSError, match="died"):
        await seal_log(log, Dying(store, dies_before), tenant="default")
    assert () == (await open_segments(store)).seals
    segments = await seal_log(log, store, tenant="default")
    assert await examined(log) == await told(segments)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def died(*_: object) -> None:
        raise OSError("the machine died")

    monkeypatch.setattr("os.fsync", died)
    with pytest.raises(OSError, match="died"):
        asyncio.run(Folder(tmp_path).put(SECOND, b"{}"))
    assert [] == asyncio.run(Folder(tmp_path).seals())


async def test_an_object_store_on_the_bus_keeps_segments_too(log: Log) -> None:
    await put(log, 1, 7)
    store = await OnBus.open(log)
    assert [] == await store.seals()
    await seal_log(log, store, tenant="default", most=4)
    again = await open_segments(await OnBus.open(log))
    assert await examined(log) == await told(again)
    with pytest.raises(SegmentFault, match=f"^{SECOND}: there is no such file"):
        await store.get(SECOND)


async def test_a_bucket_keeps_segments_too(log: Log, tmp_path: Path) -> None:
    """The library behind s3:// addresses, here over a directory: what S3 itself answers is not asked here."""
    await put(log, 1, 7)
    (tmp_path / "bucket").mkdir()
    store = Bucket((tmp_path / "bucket").as_uri())
    assert [] == await store.seals()
    await seal_log(log, store, tenant="default", most=4)
    assert await examined(log) == await told(await open_segments(store))
    with pytest.raises(SegmentFault, match=f"^{SECOND}: there is no such file"):
        await store.get(SECOND)
