"""Logs with everything that a log may hold, as tables for the bulk fold; and what both folds say, to be compared."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent.bulk import Bulk
from scopefold.consent.bulk_worklist import BulkWorklist
from scopefold.consent.chosen import Chosen
from scopefold.consent.intake import EXPLAINED, Intake
from scopefold.consent.kept import kept, restored
from scopefold.consent.reconsent import EMPTY, Row, State, judge, replay, worklist
from scopefold.contracts.columns import COLUMNS, EXPLAINING, row_of
from scopefold.contracts.events import TokenStored, UserErased
from scopefold.contracts.recorded import Cause, Quarantined, Recorded
from tests.support.logs import canonical_dump, random_log, registered, respelled

Log = Sequence[Recorded | Quarantined]

ARROW: Final = {
    "u64": pa.uint64(),
    "u32": pa.uint32(),
    "i64": pa.int64(),
    "str": pa.string(),
    "timestamp(us, UTC)": pa.timestamp("us", "UTC"),
}
ELSEWHERE: Final = timezone(timedelta(hours=2))


def table_of(log: Log) -> Any:
    """The log's columns."""
    schema = pa.schema([(name, ARROW[kind.rstrip("?")]) for name, kind in COLUMNS.items()])
    return pa.Table.from_pylist([row_of(one, "default")._asdict() for one in log], schema)


def hard_log(random: Random, length: int) -> list[Recorded | Quarantined]:
    """A random log, and in it what is rare: other profiles, quarantined messages, other tenants' events, clocks in
    other zones, generations beyond a column, a scope that Microsoft takes in two spellings.
    """
    return [_hardened(random, respelled(one)) for one in random_log(random, length)]


def _hardened(random: Random, one: Recorded) -> Recorded | Quarantined:
    kind = random.randint(0, 39)
    if kind == 0:
        return Quarantined(one.seq, one.at, "ledger.default.idp.atlassian.nonsense", "undecodable: nonsense")
    if kind == 1:
        return replace(one, tenant="acme")
    if kind == 2:
        profile = random.choice(["atlassian", "google", "microsoft", "bitbucket", "no-such"])
        return replace(one, publisher="auth", event=registered("atlassian", profile))
    if not isinstance(one.event, TokenStored):
        return one
    if kind == 20:
        return replace(one, event=UserErased(user=one.event.user, idp=one.event.idp))
    if kind == 3:
        return replace(one, event=replace(one.event, generation=2**32 + one.event.generation))
    if kind < 20:
        zone = ELSEWHERE if kind == 4 else UTC
        times = [_some_time(random, one.at, zone) for _ in range(3)]
        clocks = dict(zip(("access_expires_at", "idle_expires_at", "absolute_expires_at"), times, strict=True))
        return replace(one, event=replace(one.event, **clocks))
    return one


def _some_time(random: Random, at: datetime, zone: timezone) -> datetime | None:
    return random.choice([None, (at + timedelta(microseconds=random.randint(-(10**6), 10**13))).astimezone(zone)])


def hard_logs(max_length: int) -> st.SearchStrategy[list[Recorded | Quarantined]]:
    """`hard_log` for Hypothesis."""
    return st.builds(hard_log, st.randoms(use_true_random=False), st.integers(0, max_length))


def ours(log: Log) -> list[Recorded]:
    """What the fold one by one is given of a log."""
    return [one for one in log if isinstance(one, Recorded) and one.tenant == "default"]


def disagreements(
    log: Log, cuts: Sequence[int], *, slots: int = 4, many_rounds: int = 64, keeping: bool = False, bare: bool = False
) -> list[str]:
    """Where the two folds say different things of a log, whose parts between the cuts are folded at once.

    They are compared after each part. With `keeping`, the bulk fold goes on from bytes after each part. `bare`
    tables number their users and lack what only explains.
    """
    bulk = Bulk(slots=slots, many_rounds=many_rounds)
    met = dict.fromkeys(user for one in ours(log) if (user := getattr(one.event, "user", None)) is not None)
    users: list[str] = list(met) if bare else []
    intake = Intake("default", pa.array(users, pa.string()))
    causes = {one.seq: one.cause for one in ours(log)}
    expected, begun, found = EMPTY, 0, []
    for end in [*sorted(min(cut, len(log)) for cut in cuts), len(log)]:
        part = log[begun:end]
        table = table_of(part)
        if bare:
            told = _bare(table, users)
            bulk.fold(intake.facts(told, table.select(EXPLAINED).take(intake.wanting(told))))
        else:
            bulk.fold(intake.facts(table))
        expected = replay(ours(part), expected)
        begun = end
        if keeping:
            bulk = restored(kept(bulk, f"up to {end}"), f"up to {end}")
            intake = Intake("default", intake.users)
        found += [f"after {end} events: {what}" for what in _differ(expected, BulkWorklist(bulk, intake.users), causes)]
    return found


def _bare(table: Any, users: Sequence[str]) -> Any:
    numbers = pc.index_in(table["user"], value_set=pa.array(users, pa.string()))
    return table.drop_columns([*EXPLAINING, "user"]).append_column("user", numbers)


def _differ(expected: State, actual: BulkWorklist, causes: dict[int, Cause]) -> list[str]:
    state = actual.state(causes)
    rows = list(worklist(expected))
    pages: list[Row] = []
    after = None
    for _ in range(len(rows) + 1):
        page = actual.page(after=after, limit=3)
        pages += page.rows({seq: causes[seq] for seq in page.sequences})
        if (after := page.next) is None:
            break
    judged = [
        judge(expected.scopes.idps[one.idp], one.grant) for one in expected.present() if one.idp in expected.scopes.idps
    ]
    unknown = sum(one.status == "unknown" for one in judged)
    same = {
        "idps": expected.scopes == state.scopes,
        "grants": expected.grants == state.grants,
        "dump": canonical_dump(expected) == canonical_dump(state),
        "rows": rows == [row for part in actual.parts() for row in part.rows(causes)],
        "pages": rows == pages,
        "count": len(rows) == actual.count("missing"),
        "unknown": unknown == actual.count("unknown", None) == actual.unclear(Chosen()),
    }
    return [what for what, holds in same.items() if not holds]
