"""Processes are killed and nothing is lost; and what would be wrong is seen to be wrong."""

import itertools
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from scopefold.auth.store.projection import Projection
from scopefold.contracts.codec import encode
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import Checkpoint, catch_up
from scopefold.ledger.log import Log
from scopefold.ledger.read import read
from tests.faults import oracles
from tests.faults.campaign import run
from tests.faults.journal import Journal, LoggedIn, Promise, promises_in, sha256, stored
from tests.faults.load import acknowledged
from tests.faults.oracles import Found
from tests.faults.schedule import PROCESSES, schedule
from tests.faults.traffic import Append, appends, commands
from tests.faults.watch import Watched
from tests.support import logs

pytestmark = pytest.mark.faults
SEED = 20261121
MANY = 40


def test_what_was_acknowledged_outlives_kills_of_every_process(tmp_path: Path) -> None:
    report = run(SEED, PROCESSES, 2, tmp_path)
    assert () == report.violations
    assert [2, 2, 2, 2] == [line.kills for line in report.lines]
    assert sum(line.under_way for line in report.lines) >= 4
    assert all(line.acknowledged > 0 for line in report.lines)


def test_a_seed_is_the_schedule_and_the_commands() -> None:
    assert schedule(7, PROCESSES, 50) == schedule(7, PROCESSES, 50)
    assert schedule(7, PROCESSES, 50) != schedule(8, PROCESSES, 50)
    for make in (lambda seed: appends(seed, 0), lambda seed: commands(seed, "identos.jira-user", "atlassian")):
        seven, again, eight = (list(itertools.islice(make(seed), MANY)) for seed in (7, 7, 8))
        assert seven == again
        assert seven != eight


async def contents_of(log: Log) -> list[Found]:
    return [oracles.found(message) async for page in read(log) for message in page]


def unheard(count: int = MANY) -> list[Append]:
    """Appends whose first answer their sender does not hear."""
    return [replace(one, answer_is_lost=True) for one in itertools.islice(appends(SEED, 0), count)]


async def test_sent_again_under_the_same_ids_an_append_takes_effect_once(log: Log, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    again = 0
    for planned in unheard():
        again += await acknowledged(log, planned)
        journal.keep(stored(planned.events))
    journal.close()
    promises, contents = promises_in(journal.path), await contents_of(log)
    assert (MANY, MANY) == (again, len(promises))
    assert [] == spoken(promises, contents)


async def test_a_client_that_sends_again_under_new_ids_is_found_out(log: Log) -> None:
    promises = []
    for planned in unheard(5):
        first, second = (renamed(replace(planned, answer_is_lost=False), by) for by in ("first", "second"))
        await acknowledged(log, first)
        await acknowledged(log, second)
        promises.append(stored(second.events))
    assert {"O2"} == set(spoken(promises, await contents_of(log)))


def renamed(planned: Append, by: str) -> Append:
    """The same events under other ids."""
    return replace(planned, events=tuple(NewEvent(f"{new.event_id}-{by}", new.event) for new in planned.events))


def spoken(promises: Sequence[Promise], contents: Sequence[Found]) -> list[str]:
    """The oracles that speak, over a log."""
    violations = [
        *oracles.nothing_lost(promises, contents),
        *oracles.nothing_twice(promises, contents),
        *oracles.no_gap(contents, len(contents)),
        *oracles.in_one_piece(promises, contents),
    ]
    return [violation.oracle for violation in violations]


LOGIN = (NewEvent("login-0001", logs.logged_in("u_user0001")), NewEvent("token-0001", logs.stored("u_user0001", ["a"])))
REPORT = (NewEvent("report-0001", logs.insufficient("u_user0001", "read:me")),)


def written(*events: NewEvent) -> list[Found]:
    return [Found(seq, new.event_id, sha256(encode(new.event)), new.event) for seq, new in enumerate(events, start=1)]


@pytest.mark.parametrize(
    ("wrong", "contents", "expected"),
    [
        ("nothing", written(*LOGIN, *REPORT), []),
        ("an acknowledged event is gone", written(*LOGIN), ["O1"]),
        ("its payload is another one", [*written(*LOGIN), Found(3, "report-0001", "", REPORT[0].event)], ["O1"]),
        ("a login is gone that was told to an app", written(LOGIN[1], *REPORT), ["O1", "O1"]),
        ("an id stands twice", written(*LOGIN, *REPORT, *REPORT), ["O2", "O2"]),
        ("a sequence is missing", [*written(*LOGIN), replace(written(*LOGIN, *REPORT)[2], seq=4)], ["O3"]),
        ("a message is no event", [*written(*LOGIN, *REPORT), Found(4, "other-0001", "", None)], ["O3"]),
        ("a batch was torn", written(LOGIN[0], *REPORT, LOGIN[1]), ["O3"]),
    ],
)  # fmt: skip
def test_each_oracle_sees_what_it_is_there_for(wrong: str, contents: list[Found], expected: list[str]) -> None:
    promises: list[Promise] = [stored(LOGIN), stored(REPORT), LoggedIn("alice", "u_user0001", True)]
    assert expected == spoken(promises, contents), wrong


def test_one_person_who_became_two_users_is_seen() -> None:
    promises = [LoggedIn("alice", "u_user0001", False), LoggedIn("alice", "u_user0002", False)]
    assert ["O2"] == spoken(promises, [])


def test_a_process_that_stays_down_is_seen() -> None:
    watched = Watched("auth", lambda: False)
    assert not watched.wait(0.2)
    watched.close()


HISTORY: tuple[Event, ...] = (
    logs.registered(),
    logs.stored("u_user0001", logs.JIRA),
    logs.insufficient("u_user0001", "read:jira-work"),
    logs.stored("u_user0001", logs.JIRA, generation=2),
)


@pytest.mark.parametrize(
    ("folded", "saved", "expected"),
    [
        pytest.param(4, 4, [], id="both saved in one transaction"),
        pytest.param(3, 4, ["O4"], id="the checkpoint saved, its effect not"),
        pytest.param(4, 1, ["O4"], id="the effect of three events saved, their checkpoint not"),
        pytest.param(4, 3, [], id="the last event folded twice, which is harmless"),
    ],
)
async def test_a_checkpoint_that_is_not_saved_with_its_effect_is_found_out(
    log: Log, tmp_path: Path, folded: int, saved: int, expected: list[str]
) -> None:
    new = [NewEvent(f"event-{number:04}", event) for number, event in enumerate(HISTORY)]
    for one in new:
        publisher = "gateway" if one is new[2] else "auth"
        await append(log, [one], tenant="default", publisher=publisher, now=datetime.now(UTC))
    database = tmp_path / "projection.db"
    await fold(log, database, until=folded)
    with sqlite3.connect(database) as db:
        db.execute("UPDATE checkpoint SET content = ?", (msgspec.json.encode(await checkpoint_at(log, saved)),))
    db.close()
    await fold(log, database, until=None)  # what a restart does
    assert expected == [violation.oracle for violation in await oracles.same_as_rebuilt(log, database)]


async def fold(log: Log, database: Path, *, until: int | None) -> None:
    projection = Projection("default")
    await projection.open(database)
    await catch_up(log, projection.checkpoint, projection.apply, until=until)
    await projection.close()


async def checkpoint_at(log: Log, seq: int) -> Checkpoint:
    async def nothing(_: Sequence[Recorded | Quarantined], __: Checkpoint) -> None:
        pass

    return await catch_up(log, None, nothing, until=seq)
