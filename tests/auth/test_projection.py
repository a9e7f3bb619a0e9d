"""The live projection is the pure fold, whatever the batches, the process, and what happens to the file."""

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.store import listing
from scopefold.auth.store import projection as module
from scopefold.auth.store.database import StoreAway
from scopefold.auth.store.projection import Idle, Projection
from scopefold.auth.store.rows import TOGETHER
from scopefold.consent.chosen import Chosen, Filters
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Judgement, Row, judge, replay, worklist
from scopefold.consent.requirements import Requirements
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.follow import GENESIS, Checkpoint
from scopefold.scopes.coverage import Grant
from tests.support.logs import JIRA, START, at_place, log_of, logs, provisioned, random_log, registered, removed, stored

ROOT = Path(__file__).parents[2]
Entries = list[Recorded | Quarantined]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Projection]:
    projection = Projection("default")
    await projection.open(path)
    try:
        yield projection
    finally:
        await projection.close()


def with_strays(log: Sequence[Recorded], random: Random) -> Entries:
    """The log with messages between its events that no fold may use, renumbered."""
    entries: Entries = []
    for recorded in log:
        if random.random() < 0.2:
            seq = len(entries) + 1
            entries.append(Quarantined(seq, START, "ledger.default.idp.x.nonsense", f"undecodable: {seq}"))
        entries.append(at_place(len(entries) + 1, recorded.event, recorded.event_id))
    return entries


def logs_with_strays() -> st.SearchStrategy[Entries]:
    return st.builds(with_strays, logs(), st.randoms(use_true_random=False))


async def feed(projection: Projection, log: Sequence[Recorded | Quarantined], size: int) -> None:
    for start in range(0, len(log), size):
        batch = log[start : start + size]
        await projection.apply(batch, Checkpoint(START, batch[-1].seq, GENESIS))


async def rows_by(projection: Projection, limit: int, idp: str | None = None) -> list[Row]:
    rows: list[Row] = []
    after, chosen = None, Chosen(filters=Filters(idp=idp))
    for _ in range(1000):
        page = await listing.page(projection, chosen, "idp", after=after, limit=limit)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.next
        if after is None:
            return rows
        assert limit == len(page.rows)
    raise AssertionError("the pages do not end")


async def dumped(projection: Projection) -> str:
    return hashlib.sha256(b"\n".join([line async for line in projection.dump()])).hexdigest()


@settings(max_examples=30, deadline=None)
@given(logs_with_strays())
def test_the_live_projection_is_the_pure_fold(log: Entries) -> None:
    asyncio.run(check_against_the_fold(log))


async def check_against_the_fold(log: Entries) -> None:
    events = [one for one in log if isinstance(one, Recorded)]
    state = replay(events)
    expected = list(worklist(state))
    dumps = set()
    with tempfile.TemporaryDirectory() as folder:
        for size in (1, 7, 500):
            async with opened(Path(folder) / f"{size}.db") as projection:
                await feed(projection, log, size)
                assert expected == await rows_by(projection, 1000)
                assert state.scopes == projection.scopes
                for idp in (None, *state.scopes.idps):
                    assert len([row for row in expected if idp in (None, row.idp)]) == projection.count("missing", idp)
                statuses = [judge(state.scopes.idp(g.idp), g.grant).status for g in state.grants.values() if g.present]
                for status in ("missing", "unknown", "covered"):
                    assert statuses.count(status) == projection.count(status)
                for (name, user), grant in state.grants.items():
                    assert (grant if grant.present else None) == await projection.held(name, user)
                aside = [one for one in log if isinstance(one, Quarantined)]
                assert (aside, Counter(one.kind for one in aside)) == (
                    await projection.quarantine(),
                    projection.quarantined,
                )
                dumps.add(await dumped(projection))
    assert 1 == len(dumps)


LONG = random_log(Random(20260115), 600)


MANY = [(f"u_many{n:04}", random) for n, random in enumerate(Random(4).choices(range(4), k=60))]
CROWDED = log_of(
    *(one.event for one in LONG),
    *(stored(user, JIRA[:size], idp=("atlassian", "bitbucket")[size % 2]) for user, size in MANY),
)


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_paging_visits_every_row_once_in_order(tmp_path: Path, limit: int) -> None:
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, CROWDED, 100)
        expected = list(worklist(replay(CROWDED)))
        assert len(expected) > 30
        assert expected == await rows_by(projection, limit)
        for idp in {row.idp for row in expected}:
            assert [row for row in expected if row.idp == idp] == await rows_by(projection, limit, idp)


async def test_a_file_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "whole.db") as projection:
        await feed(projection, LONG, 50)
        expected = await dumped(projection)
    for start in range(0, len(LONG), 150):
        async with opened(tmp_path / "parts.db") as projection:
            assert start == (projection.checkpoint.seq if projection.checkpoint else 0)
            await feed(projection, LONG[start : start + 150], 50)
    async with opened(tmp_path / "parts.db") as projection:
        assert expected == await dumped(projection)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_who_lies_idle_is_told_page_by_page_the_nearest_first(tmp_path: Path, limit: int) -> None:
    ends = {"u_d": 3, "u_b": 1, "u_c": 2, "u_a": 2, "u_late": 9, "u_never": None}
    events = [replace(stored(user, JIRA[:1]), idle_expires_at=_day(end)) for user, end in ends.items()]
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log_of(*events), 100)
        found: list[Idle] = []
        until = (START + timedelta(days=5)).timestamp()
        while page := await projection.lying_idle(until, limit, *found[-1:]):
            found += page
    assert ["u_b", "u_a", "u_c", "u_d"] == [user for _, _, user in found]


def _day(number: int | None) -> datetime | None:
    return None if number is None else START + timedelta(days=number)


async def test_what_was_set_aside_is_counted_by_kind_after_a_restart_too(tmp_path: Path) -> None:
    reasons = ["publisher: liar may not", "subject: elsewhere: far", "publisher: another may not"]
    aside = [Quarantined(seq, START, "ledger.default.x.y", reason) for seq, reason in enumerate(reasons, 1)]
    for _ in range(2):
        async with opened(tmp_path / "p.db") as projection:
            if projection.checkpoint is None:
                await feed(projection, aside, 2)
            assert {"publisher": 2, "subject": 1} == projection.quarantined


async def test_an_apply_that_fails_leaves_everything_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, LONG[:300], 50)
        before = (await dumped(projection), projection.scopes, projection.checkpoint, await rows_by(projection, 7))
        counts = [projection.count(status) for status in ("missing", "unknown", "covered")]
        with monkeypatch.context() as patched:
            patched.setattr(projection, "_save_sets", _failing)
            with pytest.raises(sqlite3.OperationalError, match="disk is full"):
                await feed(projection, LONG[300:], 300)
        assert before == (
            await dumped(projection),
            projection.scopes,
            projection.checkpoint,
            await rows_by(projection, 7),
        )
        assert counts == [projection.count(status) for status in ("missing", "unknown", "covered")]
        await feed(projection, LONG[300:], 50)
        assert list(worklist(replay(LONG))) == await rows_by(projection, 7)


async def test_what_could_not_be_read_again_after_an_apply_that_failed_is_read_before_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, LONG[:300], 50)
        file, before = projection._db, _counted(projection)
        # A disk that fails as soon as something of the batch is in memory, and goes on failing.
        await file.set_progress_handler(lambda: int(before != _counted(projection)), 1)
        with pytest.raises(StoreAway, match="interrupted"):
            await feed(projection, LONG[300:], 300)
        assert before != _counted(projection), "nor could it be read again"
        with pytest.raises(StoreAway, match="interrupted"):
            await projection.mend()
        await file.set_progress_handler(lambda: 0, 1)
        await projection.mend()
        await feed(projection, LONG[300:], 50)
        assert list(worklist(replay(LONG))) == await rows_by(projection, 7)
    async with opened(tmp_path / "whole.db") as whole, opened(tmp_path / "p.db") as projection:
        await feed(whole, LONG, 50)
        assert await dumped(whole) == await dumped(projection)


def _counted(projection: Projection) -> dict[int, int]:
    return {one.id: one.users for one in projection.grant_sets()}


async def _failing(_: object) -> None:
    raise sqlite3.OperationalError("disk is full")


def spoil_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 200] = b"\xa5" * 200
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_database(path: Path) -> None:
    path.write_bytes(b"this is no database" * 1000)


def other_version(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def bad_content(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE idps SET content = CAST('{' AS BLOB)")
    db.close()


def no_table(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE quarantine")
    db.close()


@pytest.mark.parametrize(
    "spoil", [spoil_bytes, truncate, empty, no_database, other_version, bad_content, no_table, Path.unlink]
)
async def test_a_file_that_cannot_be_used_is_rebuilt(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = tmp_path / "p.db"
    async with opened(path) as projection:
        await feed(projection, LONG, 100)
        expected = await dumped(projection)
    spoil(path)
    async with opened(path) as projection:
        assert (None, 0) == (projection.checkpoint, projection.count("missing"))
        await feed(projection, LONG, 100)
        assert expected == await dumped(projection)


async def test_a_removed_idp_is_gone_from_the_file_with_all_its_users_however_many(tmp_path: Path) -> None:
    users = [f"u_user{n:05}" for n in range(TOGETHER + 1)]
    begun: list[Event] = [registered(), registered("other"), provisioned("jira", JIRA)]
    begun.append(stored(users[0], (), idp="other"))
    log = log_of(*begun, *(stored(user, JIRA[:2]) for user in users), removed())
    state = replay(log)
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log[:-1], len(log))
        assert len(users) == projection.count("missing", "atlassian")
        await feed(projection, log[-1:], 1)
    async with opened(tmp_path / "p.db") as projection:
        assert (state.scopes, {"other"}) == (projection.scopes, set(projection.scopes.idps))
        assert {"other"} == {one.idp for one in projection.grant_sets()}
        for user in (users[0], users[-1]):
            assert (None, 1) == (
                await projection.held("atlassian", user),
                await projection.generation("atlassian", user),
            )
        await feed(projection, [at_place(len(log) + 1, registered())], 1)
        assert 0 == projection.count("missing", "atlassian")


async def test_a_folder_where_the_file_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreAway, match="unable to open"):
        async with opened(tmp_path / "missing" / "p.db"):
            pass


async def test_a_connector_costs_one_judgement_per_grant_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[Grant] = []

    def counting(idp: Idp, grant: Grant, needs: Requirements | None = None) -> Judgement:
        judged.append(grant)
        return judge(idp, grant, needs)

    users = [f"u_user{n:05}" for n in range(300)]
    grants = [JIRA, JIRA[:2], (), None]
    log = log_of(
        registered(),
        registered("other"),
        *(stored(user, grants[n % 4]) for n, user in enumerate(users)),
        *(stored(user, JIRA, idp="other") for user in users),
    )
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log, 500)
        monkeypatch.setattr(module, "judge", counting)
        await projection.apply(
            [at_place(len(log) + 1, provisioned("wiki", ["write:wiki"]))], Checkpoint(START, len(log) + 1, GENESIS)
        )
        assert 4 == len(judged)
        assert (225, 75) == (projection.count("missing", "atlassian"), projection.count("unknown", "atlassian"))


DUMP = """
import asyncio, sys
from pathlib import Path
from random import Random
from tests.auth.test_projection import dumped, feed, opened
from tests.support.logs import random_log

async def main():
    async with opened(Path(sys.argv[1])) as projection:
        await feed(projection, random_log(Random(7), 500), 90)
        print(await dumped(projection))

asyncio.run(main())
"""


def test_two_processes_with_other_hash_seeds_dump_the_same(tmp_path: Path) -> None:
    dumps = set()
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", DUMP, str(tmp_path / f"{seed}.db")],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert 0 == done.returncode, done.stderr.decode()
        dumps.add(done.stdout)
    assert 1 == len(dumps)
