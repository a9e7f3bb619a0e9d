"""`scopefold log sql`: the views say what the folds say, and a query reaches nothing else."""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from msgspec import Struct

from scopefold.cli.query import Bounds, Database, Extent, TooLong
from scopefold.cli.sql import _printer
from scopefold.consent import tables
from scopefold.consent.reconsent import replay, worklist
from scopefold.contracts.columns import row_of
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.segment_file import batch_of
from tests.support.logs import START, log_of, logs, provisioned, registered, stored

WIDE = Bounds(memory_mb=256, seconds=60)
LOG = log_of(
    registered(),
    stored("u_alice001", ("openid", "email", "profile")),
    provisioned("jira-user", ("read:me",)),
    stored("u_bob00001", ("openid", "email", "profile", "read:me")),
)


@contextmanager
def database(log: Sequence[Recorded | Quarantined], bounds: Bounds = WIDE, *, whole: bool = True) -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as folder:
        made = Database(Path(folder), bounds)
        try:
            made.load(batch_of([row_of(one, "default") for one in log]))
            made.lock(Extent(tenant="default", created=START, last_seq=len(log), whole=whole))
            yield made
        finally:
            made.close()


def asked(made: Database, sql: str) -> list[dict[str, Any]]:
    return [row for batch in made.ask(sql) for row in batch.to_pylist()]


def lines(found: Iterator[Struct]) -> list[dict[str, Any]]:
    return [{name: list(value) if isinstance(value, tuple) else value for name, value in members(one)} for one in found]


def members(one: Struct) -> list[tuple[str, Any]]:
    return [(name, getattr(one, name)) for name in one.__struct_fields__]


@settings(max_examples=12, deadline=None)
@given(logs(max_length=25))
def test_the_views_say_what_the_folds_say_at_every_prefix(log: list[Recorded]) -> None:
    with database(log) as made:
        state = replay(log)
        assert lines(tables.listed(state)) == asked(made, "SELECT * FROM worklist")
        assert lines(tables.grants(state)) == asked(made, "SELECT * FROM grants")
        assert lines(tables.unions(state)) == asked(made, "SELECT * FROM unions")
        for upto in range(len(log) + 1):
            at_the_time = list(worklist(replay(log[:upto])))
            found = asked(made, f"SELECT * FROM worklist_at({upto})")
            assert [(row.user, row.idp, row.since.seq) for row in at_the_time] == [
                (row["user"], row["idp"], row["since_seq"]) for row in found
            ]
            assert lines(tables.listed(replay(log[:upto]))) == found


def test_grants_and_worklist_agree_on_who_lacks_something() -> None:
    with database(LOG) as made:
        missing = asked(made, "SELECT user, idp FROM grants WHERE status = 'missing'")
        assert [{"user": "u_alice001", "idp": "atlassian"}] == missing
        assert missing == asked(made, "SELECT user, idp FROM worklist")


@pytest.mark.parametrize(
    ("moment", "users"),
    [
        ("0", 0),
        ("2", 0),
        ("3", 1),
        ("'event-000003'", 1),
        ("'event-000002'", 0),
        ("'2026-01-01T00:00:03Z'", 1),
        ("'2026-01-01T01:00:02+01:00'", 0),
        ("TIMESTAMP '2026-01-01 00:00:03'", 1),
        ("(SELECT min(logged_at) FROM events)", 0),
        ("DATE '2026-01-01'", 0),
    ],
)
def test_a_moment_is_a_sequence_a_time_or_an_event(moment: str, users: int) -> None:
    with database(LOG) as made:
        assert [{"n": users}] == asked(made, f"SELECT count(*) AS n FROM worklist_at({moment})")


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("5", "What was loaded ends at sequence 4."),
        ("'2999-01-01T00:00:00Z'", "is after what was loaded, which ends at sequence 4."),
        ("'2025-12-31T23:59:59Z'", "The log began after "),
        ("'event-000009'", "No event event-000009 is in what was loaded, and that is no sequence"),
        ("'yesterday, or so'", "'yesterday, or so' is not a sequence, a time such as"),
        ("'2026-01-01T00:00:00'", "needs its offset"),
    ],
)
def test_a_moment_that_the_log_does_not_have_is_refused(moment: str, said: str) -> None:
    with database(LOG) as made, pytest.raises(duckdb.Error, match=said):
        asked(made, f"SELECT * FROM worklist_at({moment})")


def test_after_the_last_of_some_segments_nothing_is_known() -> None:
    later = "SELECT * FROM worklist_at('2026-01-02T00:00:00Z')"
    with database(LOG) as made:
        assert 1 == len(asked(made, later))
    with database(LOG, whole=False) as made, pytest.raises(duckdb.Error, match="is after what was loaded"):
        asked(made, later)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM '{file}'",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
        "SELECT * FROM sniff_csv('{file}')",
        "SELECT * FROM WIDE",
        "SELECT getenv('HOME')",
    ],
)
def test_a_query_reads_no_file_no_address_and_no_variable(tmp_path: Path, sql: str) -> None:
    file = tmp_path / "secret.csv"
    file.write_text("a,b\n1,2\n")
    with database(LOG) as made, pytest.raises(duckdb.Error):
        asked(made, sql.format(file=file))


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE events",
        "INSERT INTO events SELECT * FROM events",
        "CREATE TABLE mine AS SELECT 1",
        "COPY events TO '{file}'",
        "EXPORT DATABASE '{file}'",
        "ATTACH '{file}'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '1TB'",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "SELECT 1; DROP TABLE events",
        "SELECT 1; SELECT 2",
        "",
        "EXPLAIN ANALYZE COPY events TO '{file}'",
    ],
)
def test_only_one_query_is_taken_and_nothing_is_changed(tmp_path: Path, sql: str) -> None:
    with database(LOG) as made:
        with pytest.raises((duckdb.Error, ValueError)):
            asked(made, sql.format(file=tmp_path / "out"))
        assert [] == list(tmp_path.iterdir())
        assert [{"n": 4}] == asked(made, "SELECT count(*) AS n FROM events")


def test_the_locks_hold_without_the_check_that_it_is_a_query() -> None:
    """Two walls, each of which is enough."""
    with database(LOG) as made:
        for sql in ("SET memory_limit = '1TB'", "SET enable_external_access = true", "DROP TABLE events"):
            with pytest.raises(duckdb.Error, match=r"locked|read-only|Cannot"):
                made._connection.execute(sql)


def test_a_query_that_takes_too_long_is_given_up() -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000) b WHERE a.range % 7 = b.range % 5"
    with database(LOG, Bounds(memory_mb=256, seconds=1)) as made, pytest.raises(TooLong, match="longer than 1 seconds"):
        asked(made, endless)


def test_a_query_that_needs_too_much_memory_is_refused() -> None:
    greedy = "SELECT list(a.range || 'x') FROM range(100000000) a"
    with database(LOG, Bounds(memory_mb=64, seconds=60)) as made, pytest.raises(duckdb.Error, match=r"(?i)memory"):
        asked(made, greedy)


def test_what_is_no_event_of_this_tenant_is_shown_and_folded_nowhere() -> None:
    aside = Quarantined(5, LOG[-1].at, "ledger.default.idp.x.y", "undecodable: no")
    other = Recorded(6, LOG[-1].at, "other", "event-000006", "auth", LOG[1].event)
    with database([*LOG, aside, other]) as made:
        types = asked(made, "SELECT type, count(*)::INT AS n FROM events WHERE seq > 4 GROUP BY type ORDER BY type")
        assert [{"type": "elsewhere", "n": 1}, {"type": "quarantined", "n": 1}] == types
        assert [{"n": 1}] == asked(made, "SELECT count(*)::INT AS n FROM worklist")


def test_an_empty_log_has_empty_views() -> None:
    with database([]) as made:
        for view in ("events", "grants", "unions", "worklist", "worklist_at(0)"):
            assert [] == asked(made, f"SELECT * FROM {view}")


def test_what_a_service_reported_is_no_formula_in_a_csv(capsys: pytest.CaptureFixture[str]) -> None:
    """A scope-token may begin as a formula does (RFC 6749, section 3.3), and any service may report any."""
    scopes = ["=HYPERLINK(1)", "+1", "-2+3", "@SUM(A1)", " =1", "read:jira-work"]
    printed = _printer("csv")
    printed(["scope", "count", "all"], [{"scope": one, "count": -1, "all": ["=1"]} for one in scopes])
    _, *rows = csv.reader(io.StringIO(capsys.readouterr().out))
    assert [*(f"'{one}" for one in scopes[:-1]), scopes[-1]] == [row[0] for row in rows]
    assert {("-1", '["=1"]')} == {(row[1], row[2]) for row in rows}
