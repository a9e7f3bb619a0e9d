"""An earlier moment folded from sealed segments is the one that the log gives from its beginning."""

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from scopefold.auth.settings import Settings, check
from scopefold.auth.store import history, sealed_moment
from scopefold.auth.store.history import History
from scopefold.auth.store.sealed_moment import SegmentsUnusable, write_moment
from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import Apply, Checkpoint, catch_up
from scopefold.ledger.log import STREAM, Log, declare, status
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import seal_log
from scopefold.runtime.past import SUFFIX, folded
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.auth.world import KEK, auth, declare_all, status_becomes
from tests.support.logs import START, erased, random_log, registered

ENDS = (100, 200, 260)
"""Where segments end; beside the second the fold is kept."""
NO_EVENT = "ledger.default.idp.atlassian.removed"


@pytest.fixture
async def filled(log: Log, tmp_path: Path) -> AsyncIterator[Log]:
    """A log of many events, one of them an erasure, and its segments, which do not go to its end."""
    once = {one.event_id: one for one in random_log(Random(15), 400)}.values()
    for publisher, some in itertools.groupby(once, lambda one: one.publisher):
        new = [NewEvent(one.event_id, one.event) for one in some]
        await append(log, new, tenant="default", publisher=publisher, now=START)
        if (await status(log)).last_seq < 50:
            await append(
                log, [NewEvent("event-gone-0001", erased("u_user0003"))], tenant="default", publisher="auth", now=START
            )
            await log.js.publish(NO_EVENT, b"{}")
    store = Folder(tmp_path / "segments")
    for end in ENDS:
        chain = await seal_log(log, store, tenant="default", upto=end)
        if end == ENDS[1]:
            await folded(chain, tenant="default", keep=True)
    yield log


class Read:
    """What was read from the bus: how many messages, and from where."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages = 0
        self.warnings: list[str] = []

        async def counting(log: Log, checkpoint: Checkpoint | None, apply: Apply, *, until: int) -> Checkpoint:
            async def noted(batch: Sequence[Recorded | Quarantined], reached: Checkpoint) -> None:
                self.messages += len(batch)
                await apply(batch, reached)

            return await catch_up(log, checkpoint, noted, until=until)

        monkeypatch.setattr(history, "catch_up", counting)
        monkeypatch.setattr(history.logs, "warning", lambda _, reason: self.warnings.append(reason))


async def told(past: History, log: Log, seq: int) -> tuple[list[str], object]:
    """All that the fold says at a moment but for the quarantine, and what is counted without looking at users."""
    async with past.at(log, seq) as (projection, as_of):
        assert projection.checkpoint is not None or not seq
        lines = [line.decode() async for line in projection.dump() if NO_EVENT not in line.decode()][1:]
        sets = sorted((one.idp, one.key, one.users, one.judgement, one.standing()) for one in projection.grant_sets())
        found = lines, (as_of.at, sets)
    await past.forget()
    return found


MOMENTS = [(1, 0), (99, 0), (100, 0), (101, 0), (200, 0), (230, 0), (260, 0), (261, 1), (330, 70)]


@pytest.mark.parametrize(("seq", "from_bus"), MOMENTS)
async def test_a_moment_is_the_same_from_segments_and_reads_only_what_follows_them(
    filled: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seq: int, from_bus: int
) -> None:
    monkeypatch.setattr(sealed_moment, "AT_ONCE", 3)  # several parts of users, as with many
    expected = await told(History("default", tmp_path), filled, seq)
    read = Read(monkeypatch)
    past = History("default", tmp_path, str(tmp_path / "segments"))
    assert expected == await told(past, filled, seq)
    assert (from_bus, []) == (read.messages, read.warnings)


async def test_before_the_first_event_nothing_is_read(filled: Log, tmp_path: Path) -> None:
    assert ([], (None, [])) == await told(History("default", tmp_path, str(tmp_path / "segments")), filled, 0)


def damaged(folder: Path) -> str:
    facts = sorted(folder.glob("*.facts.parquet"))[1]
    facts.write_bytes(facts.read_bytes()[:-1] + b"?")
    return "are not what was sealed"


def with_a_gap(folder: Path) -> str:
    sorted(folder.glob("*.seal.json"))[1].unlink()
    return "a gap: sequences 101 to 200 are missing"


@pytest.mark.parametrize("harm", [damaged, with_a_gap])
async def test_segments_that_are_wrong_are_told_of_and_the_log_is_folded_from_its_beginning(
    filled: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path], str]
) -> None:
    expected = await told(History("default", tmp_path), filled, 330)
    folder, read = tmp_path / "segments", Read(monkeypatch)
    for kept in folder.glob(f"*{SUFFIX}"):
        kept.unlink()
    reason = harm(folder)
    assert expected == await told(History("default", tmp_path, str(folder)), filled, 330)
    assert 330 == read.messages
    (warning,) = read.warnings
    assert reason in warning


async def test_segments_of_another_log_or_tenant_are_not_used(
    filled: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = str(tmp_path / "segments")
    await filled.js.delete_stream(STREAM)
    await declare(filled)
    await append(filled, [NewEvent("event-first-0001", registered())], tenant="default", publisher="auth", now=START)
    expected = await told(History("default", tmp_path), filled, 1)
    other = await told(History("other", tmp_path), filled, 1)
    read = Read(monkeypatch)
    assert expected == await told(History("default", tmp_path, segments), filled, 1)
    assert other == await told(History("other", tmp_path, segments), filled, 1)
    assert [True, True] == ["sequence 1 is of another" in one or "tenant" in one for one in read.warnings]


async def test_segments_that_go_further_than_the_log_are_not_used(filled: Log, tmp_path: Path) -> None:
    """A log that was cut short under the same name: what was cut off may have been written anew."""
    path = tmp_path / "moment.db"
    created = (await status(filled)).created
    with pytest.raises(SegmentsUnusable, match="the segments go to sequence 260, but the log to 259"):
        await write_moment(path, str(tmp_path / "segments"), "default", created=created, last_seq=259, until=100)


def with_segments(place: str, tmp_path: Path) -> Settings:
    secret = Secret("an-admin-token-of-the-tests")
    return Settings(admin_token=secret, kek=Secret(KEK), data_dir=tmp_path, segments=place)


@pytest.mark.parametrize("place", ["nats://127.0.0.1:4222", "/no/such/directory", "ftp://host/x"])
def test_a_place_where_segments_cannot_be_is_refused_at_the_start(tmp_path: Path, place: str) -> None:
    with pytest.raises(BadSettings, match=r"^SCOPEFOLD_SEGMENTS: .* is no directory, and no s3:// address$"):
        check(with_segments(place, tmp_path))
    check(with_segments(str(tmp_path), tmp_path))
    check(with_segments("", tmp_path))


@pytest.mark.parametrize(("name", "place"), [("pyarrow", "."), ("numpy", "."), ("obstore", "s3://bucket/prefix")])
def test_what_is_not_installed_is_named_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, place: str
) -> None:
    check(with_segments(place, tmp_path))
    monkeypatch.setattr("scopefold.auth.settings.find_spec", lambda asked: None if asked == name else object())
    with pytest.raises(BadSettings, match=f"^SCOPEFOLD_SEGMENTS: {name} is missing; install it with: pip install"):
        check(with_segments(place, tmp_path))


async def test_a_service_asks_the_segments_it_was_given_and_says_when_it_cannot(
    filled: Log, shared_nats: NatsServer, tmp_path: Path
) -> None:
    folder = tmp_path / "segments"
    await declare_all(shared_nats.url)
    with auth(tmp_path / "auth", nats_url=shared_nats.url, segments=str(folder)) as service:
        await status_becomes(service, 200)

        async def total(seq: int) -> int:
            async with service.client() as client:
                answer = await client.get("/v1/reconsent", params={"at": seq})
            assert (200, seq) == (answer.status_code, answer.json()["as_of"]["seq"])
            return int(answer.json()["total"])

        async def expected(seq: int) -> int:
            past = History("default", tmp_path)
            async with past.at(filled, seq) as (projection, _):
                found = projection.count("missing")
            await past.forget()
            return found

        assert await expected(230) == await total(230) > 0
        assert "segments not used" not in service.said()
        damaged(folder)
        assert await expected(180) == await total(180)
        assert "segments not used" in service.said()
