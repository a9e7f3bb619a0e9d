"""Who enters the worklist and who leaves it follows from the log alone, whatever the batches were."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from scopefold.auth.core.webhook import Move
from scopefold.auth.store.moves import may_move_many
from scopefold.auth.store.projection import Projection
from scopefold.consent.reconsent import EMPTY, fold, worklist
from scopefold.contracts.recorded import Recorded
from tests.auth.test_projection import feed, opened
from tests.support.logs import SCOPES, log_of, logs, provisioned, registered, stored


def expected_moves(log: Sequence[Recorded], since: int) -> list[Move]:
    """The worklist before and after each event, compared."""
    found, state, before = list[Move](), EMPTY, set[tuple[str, str]]()
    for recorded in log:
        state = fold(state, recorded)
        after = {(row.idp, row.user) for row in worklist(state)}
        entered, left = after - before, before - after
        before = after
        if recorded.seq <= since:
            continue
        if may_move_many(recorded):
            counts = {
                idp: (len([1 for one, _ in entered if one == idp]), len([1 for one, _ in left if one == idp]))
                for idp in {one for one, _ in entered | left}
            }
            rows = [(idp, "", *counted) for idp, counted in counts.items()]
        else:
            rows = [(*key, int(key in entered), int(key in left)) for key in entered | left]
        found += [
            Move(recorded.seq, idp, user, came, gone, recorded.at, recorded.event_id)
            for idp, user, came, gone in sorted(rows)
        ]
    return found


@settings(max_examples=60, deadline=None)
@given(logs(), st.integers(0, 40), st.integers(1, 9))
def test_moves_are_the_differences_of_the_pure_worklist_event_by_event(
    log: list[Recorded], since: int, size: int
) -> None:
    asyncio.run(check(log, since, size))


async def check(log: list[Recorded], since: int, size: int) -> None:
    expected = expected_moves(log, since)
    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder) / "p.db") as projection:
            assert since == await projection.keep_moves(since)
            await feed(projection, log, size)
            assert expected == await all_moves(projection)


async def all_moves(projection: Projection) -> list[Move]:
    return await projection.moves(0, until=None, limit=10_000)


LOG = log_of(
    registered(),
    stored("u_alice001", SCOPES[:3]),
    provisioned("wiki", SCOPES[4:5]),
    stored("u_alice001", SCOPES[:5], generation=2),
    provisioned("wiki", SCOPES[4:6]),
)


async def test_who_kept_none_for_a_while_knows_since_when_it_knows(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as projection:
        assert 0 == await projection.keep_moves(0)
        await feed(projection, LOG[:3], 10)
        assert [3] == [move.seq for move in await all_moves(projection)]
        assert await projection.keep_moves(None) is None
        assert [] == await all_moves(projection)
        await feed(projection, LOG[3:4], 10)
        assert 4 == await projection.keep_moves(1), "what events 2 to 4 did is not known"
        await feed(projection, LOG[4:], 10)
        assert [5] == [move.seq for move in await all_moves(projection)]
    async with opened(tmp_path / "p.db") as projection:
        assert 4 == await projection.keep_moves(5), "an opened file goes on"
        await projection.forget_moves(5)
        assert [] == await all_moves(projection)
