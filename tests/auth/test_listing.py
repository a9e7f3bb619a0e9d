"""The worklist in every order and through every filter is what the pure fold gives, sorted and filtered by hand."""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.store import listing
from scopefold.auth.store.listing import TooMany, count, count_unclear, page
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.tallies import reasons_of, tallies
from scopefold.consent.chosen import Chosen, Filters, Order, Place, place_of
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.next_step import next_steps
from scopefold.consent.reconsent import Judgement, Row, State, UserGrant, grant_key, judge, replay, row_of, worklist
from scopefold.consent.tallies import By, Tally
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import union
from tests.auth.test_projection import CROWDED, feed, opened
from tests.support.logs import (
    IDPS,
    NAMES,
    SCOPES,
    START,
    USERS,
    cleared,
    insufficient,
    log_of,
    logs,
    provisioned,
    random_log,
    registered,
    stored,
)

ORDERS: tuple[Order, ...] = ("idp", "user", "since", "deadline")
LONG = random_log(Random(20261122), 500)


def some_filters() -> st.SearchStrategy[Chosen]:
    """Any of them, some together."""
    sequences = st.none() | st.integers(0, 60)
    filters = st.builds(
        Filters,
        idp=st.none() | st.sampled_from(list(IDPS)),
        connector=st.none() | st.sampled_from([f"identos.{name}" for name in NAMES]),
        scope=st.none() | st.sampled_from(SCOPES),
    )
    users = st.none() | st.lists(st.sampled_from(USERS), unique=True, max_size=3).map(tuple)
    return st.builds(Chosen, filters=filters, after=sequences, before=sequences, users=users)


def expected_rows(state: State, chosen: Chosen, order: Order) -> list[Row]:
    """What the choice leaves of the pure worklist, sorted."""
    filters, found = chosen.filters, list[tuple[Place, Row]]()
    for row in worklist(state):
        profile = state.scopes.idp(row.idp).profile
        lacks = [
            lack
            for lack in row.missing
            if filters.scope is None or canonical_name(profile, lack.scope) == canonical_name(profile, filters.scope)
        ]
        connectors = {because.connector for lack in lacks for because in lack.because}
        if (
            lacks
            and filters.idp in (None, row.idp)
            and (filters.connector is None or filters.connector in connectors)
            and (chosen.users is None or row.user in chosen.users)
            and (chosen.after is None or row.since.seq > chosen.after)
            and (chosen.before is None or row.since.seq <= chosen.before)
        ):
            key = grant_key(state.grants[row.idp, row.user].grant)
            found.append((place_of(order, key, row), row))
    return [row for _, row in sorted(found, key=lambda one: one[0])]


def expected_unclear(state: State, chosen: Chosen) -> int:
    """Of how many the pure fold would not know it, were nothing needed but what is asked about."""
    filters, found = chosen.filters, 0

    def asked(idp: Idp, names: tuple[str | None, ...], scopes: tuple[str, ...]) -> bool:
        carries = filters.scope is None or canonical_name(idp.profile, filters.scope) in canonical(idp.profile, scopes)
        return carries and (filters.connector is None or filters.connector in names)

    for held in state.present():
        idp, connectors = state.scopes.idp(held.idp), {}
        for kind, one in idp.connectors.items():
            names = (kind, one.connector)
            if one.alternatives and asked(idp, names, union(one.upstream_scopes, *one.alternatives)):
                connectors[kind] = one
            elif not one.alternatives:
                needs = tuple(need for need in one.needs if asked(idp, names, (need.scope,)))
                connectors[kind] = replace(one, needs=needs)
        base = tuple(need for need in idp.base if asked(idp, (), (need.scope,)))
        narrow = replace(idp, base=base, connectors=connectors)
        unknown = judge(narrow, held.grant).status == "unknown"
        mine = filters.idp in (None, held.idp) and (chosen.users is None or held.user in chosen.users)
        found += unknown and mine and not chosen.aged
    return found


async def rows_by(projection: Projection, chosen: Chosen, order: Order, limit: int) -> list[Row]:
    rows: list[Row] = []
    after: Place | None = None
    for _ in range(1000):
        found = await page(projection, chosen, order, after=after, limit=limit)
        assert len(found.rows) <= limit
        rows += found.rows
        after = found.next
        if after is None:
            return rows
        assert limit == len(found.rows)
    raise AssertionError("the pages do not end")


@settings(max_examples=60, deadline=None)
@given(logs(), some_filters(), st.integers(1, 5))
def test_pages_and_totals_are_the_pure_worklist_whatever_is_asked(
    log: list[Recorded], chosen: Chosen, limit: int
) -> None:
    asyncio.run(check(log, chosen, limit))


async def check(log: list[Recorded], chosen: Chosen, limit: int) -> None:
    state = replay(log)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "p.db") as projection:
            await feed(projection, log, 7)
            for order in ORDERS:
                assert expected_rows(state, chosen, order) == await rows_by(projection, chosen, order, limit)
            assert len(expected_rows(state, chosen, "idp")) == await count(projection, chosen)
            assert expected_unclear(state, chosen) == await count_unclear(projection, chosen)
            for filters in (Filters(), chosen.filters):
                check_tallies(projection, expected_rows(state, Chosen(filters=filters), "idp"), filters)
            check_in_vain(projection, state)


def check_tallies(projection: Projection, rows: list[Row], filters: Filters) -> None:
    reasons = reasons_of(projection)
    found: dict[By, Counter[tuple[str, str]]] = {
        "idp": Counter((row.idp, row.idp) for row in rows),
        "connector": Counter(key for row in rows for key in connectors_of(row)),
        "scope": Counter((row.idp, lack.scope) for row in rows for lack in row.missing),
        "why": Counter((row.idp, why) for row in rows for why in set(reasons.of(row).values())),
    }
    for by, counted in found.items():
        expected = sorted(Tally(idp, name, users) for (idp, name), users in counted.items())
        assert expected == tallies(projection, filters, by), by
    for row in rows:
        idp = projection.scopes.idp(row.idp)
        assert {lack.scope for lack in row.missing} == set(next_steps(idp, row, reasons.of(row), START))


def check_in_vain(projection: Projection, state: State) -> None:
    for idp in {name for name, _ in state.grants}:
        counted = Counter(one.scope for (name, _), held in state.grants.items() for one in held.ungiven if name == idp)
        assert dict(sorted(counted.items())) == projection.ungiven(idp)


async def test_who_stands_how_is_counted_over_when_users_move_on(tmp_path: Path) -> None:
    """All share a grant; some were asked for more in vain, some give it later, one is reported, one cleared."""
    users = [f"u_many{n:04}" for n in range(10)]
    more = (*SCOPES[:3], "write:confluence-content")
    events: list[Event] = [stored(user, SCOPES[:3], requested=more if n < 6 else None) for n, user in enumerate(users)]
    events += [stored(user, more, generation=2) for user in users[:3]]
    events += [insufficient(users[3], more[-1]), cleared(users[4]), stored(users[5], SCOPES[:3], generation=2)]
    log = log_of(registered(), provisioned("wiki", more[-1:]), *events)
    for size in (1, 100):
        async with opened(tmp_path / f"{size}.db") as projection:
            await feed(projection, log, size)
            rows = expected_rows(replay(log), Chosen(), "idp")
            check_tallies(projection, rows, Filters())
            check_in_vain(projection, replay(log))
            assert {"not-allowed": 2, "cleared": 1, "never-asked": 4} == {
                one.name: one.users for one in tallies(projection, Filters(), "why")
            }


def connectors_of(row: Row) -> set[tuple[str, str]]:
    return {(row.idp, because.connector or "") for lack in row.missing for because in lack.because}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 4, 1000])
@pytest.mark.parametrize("log", [LONG, CROWDED], ids=["long", "crowded"])
async def test_every_page_size_visits_every_row_once_in_order(
    tmp_path: Path, order: Order, limit: int, log: list[Recorded]
) -> None:
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log, 100)
        expected = expected_rows(replay(log), Chosen(), order)
        assert len(expected) > 5
        assert expected == await rows_by(projection, Chosen(), order, limit)


@pytest.mark.parametrize("order", ORDERS)
async def test_a_page_reads_few_rows_however_many_users_there_are(
    tmp_path: Path, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = log_of(
        registered(), *(stored(f"u_many{n:04}", SCOPES[:3]) for n in range(900)), provisioned("wiki", SCOPES[4:6])
    )
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, many, 500)
        read: list[UserGrant] = []

        def noted(held: UserGrant, judgement: Judgement, profile: Profile) -> Row:
            read.append(held)
            return row_of(held, judgement, profile)

        monkeypatch.setattr(listing, "row_of", noted)
        found = await page(projection, Chosen(), order, after=None, limit=10)
        assert (10, 900) == (len(found.rows), await count(projection, Chosen()))
        assert len(read) < 50
        plan = [
            " ".join(str(part) for part in row)
            for sql in (
                "ORDER BY user",
                "AND stored > 1 ORDER BY stored",
                "AND (dies, user) > (1, '') ORDER BY dies, user",
            )
            for row in await projection._db.execute_fetchall(
                f"EXPLAIN QUERY PLAN SELECT user, held FROM grants WHERE grant_set = 1 {sql} LIMIT 10"
            )
        ]
        assert not [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step], plan


async def test_since_when_of_disproved_scopes_is_looked_up_for_few_and_refused_for_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u_many{n:04}" for n in range(20)]
    events = [event for user in users for event in (stored(user, SCOPES[:5]), insufficient(user, SCOPES[3]))]
    log = log_of(registered(), provisioned("wiki", SCOPES[3:4]), *events)
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log, 100)
        assert 20 == len(await rows_by(projection, Chosen(), "since", 3))
        monkeypatch.setattr(listing, "MOST_LOOKED_AT", 19)
        with pytest.raises(TooMany):
            await page(projection, Chosen(), "since", after=None, limit=3)
        assert 20 == len(await rows_by(projection, Chosen(), "user", 3)), "other orders need no such look"


@pytest.mark.parametrize("log", [LONG, CROWDED], ids=["long", "crowded"])
async def test_ages_part_the_list_at_every_event(tmp_path: Path, log: list[Recorded]) -> None:
    state = replay(log)
    events = {row.since.seq for row in worklist(state)}
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log, 100)
        for seq in sorted({near for event in events for near in (event - 1, event)}):
            for chosen in (Chosen(after=seq), Chosen(before=seq)):
                expected = expected_rows(state, chosen, "user")
                assert expected == await rows_by(projection, chosen, "user", 1000)
                assert len(expected) == await count(projection, chosen)


@pytest.mark.parametrize(
    ("asked", "users", "expected"),
    [
        ({}, None, 3),
        ({"idp": "ms"}, None, 2),
        ({"connector": "identos.mail"}, None, 2),
        ({"connector": "urn:connector:identos:drive"}, None, 1),
        ({"connector": "identos.nobody"}, None, 0),
        ({"scope": "https://graph.microsoft.com/mail.read"}, None, 2),
        ({"scope": "Files.Read"}, None, 0),
        ({}, (USERS[0],), 2),
        ({"idp": "ms"}, (USERS[2],), 0),
    ],
)
async def test_of_whom_it_is_not_known_is_told_of_those_who_are_asked_about(
    tmp_path: Path, asked: dict[str, str], users: tuple[str, ...] | None, expected: int
) -> None:
    log = log_of(
        *(registered("ms", "microsoft", ()), provisioned("mail", ["Mail.Read"], "ms")),
        *(registered("goog", "google", ()), provisioned("drive", ["https://www.googleapis.com/auth/drive"], "goog")),
        *(stored(USERS[0], None, idp="ms"), stored(USERS[1], None, idp="ms"), stored(USERS[0], None, idp="goog")),
        stored(USERS[2], [], idp="ms"),
    )
    async with opened(tmp_path / "p.db") as projection:
        await feed(projection, log, 7)
        chosen = Chosen(filters=Filters(**asked), users=users)
        assert expected == expected_unclear(replay(log), chosen) == await count_unclear(projection, chosen)
        assert 0 == await count_unclear(projection, replace(chosen, after=0))
