"""Two moments that are compared in files say what the fold of the log says."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from scopefold.auth.store import comparing, history
from scopefold.auth.store.database import copied
from scopefold.auth.store.history import BackwardsError, History
from scopefold.auth.store.projection import Projection
from scopefold.consent.difference import Difference, difference
from scopefold.consent.named import NotThere
from scopefold.consent.reconsent import replay, worklist
from scopefold.contracts.recorded import PUBLISHERS, Recorded, examine
from scopefold.contracts.subjects import OF_IDPS
from scopefold.ledger import moments
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import GENESIS, Checkpoint, catch_up
from scopefold.ledger.log import Log
from scopefold.ledger.moment import NoSuchMoment
from scopefold.ledger.read import read
from tests.support.logs import START, random_log

LENGTH = 200


@pytest.fixture
async def random_events(log: Log, request: pytest.FixtureRequest) -> list[Recorded]:
    for one in random_log(Random(request.param), LENGTH):
        by = PUBLISHERS[type(one.event)] or "jira-gateway"
        new = NewEvent(f"event-{one.seq:06}", one.event)
        await append(log, [new], tenant="default", publisher=by, now=START + timedelta(seconds=one.seq))
    found = [examine(message) async for page in read(log) for message in page]
    return [one for one in found if isinstance(one, Recorded)]


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[History]:
    made = History("default", tmp_path)
    yield made
    await made.forget()
    assert [] == os.listdir(tmp_path)  # noqa: PTH208  # the pathlib way is refused in a coroutine


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Projection]:
    made = Projection("default")
    await made.open(tmp_path / "live.db")
    yield made
    await made.close()


def folded(events: list[Recorded], first: int, second: int, idp: str | None, limit: int) -> Difference:
    before = replay(events[:first])
    return difference(before, replay(events[first:second], before), events[first:second], idp=idp, limit=limit)


@pytest.mark.parametrize("random_events", [1, 7, 36], indirect=True)
async def test_every_difference_is_that_of_the_fold(
    log: Log, past: History, random_events: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "AT_ONCE", 2)
    random = Random(LENGTH)
    kinds = {"entered": 0, "left": 0, "changed": 0}
    for turn in range(40):
        first, second = sorted((random.randint(0, LENGTH), random.randint(0, LENGTH)))
        idp, limit = random.choice([None, "atlassian", "nowhere"]), random.choice([0, 1, 1000])
        ends = [replay(random_events[:seq]).scopes.idps for seq in (first, second if turn % 4 else LENGTH)]
        if idp is not None and all(idp not in idps for idps in ends):
            with pytest.raises(NotThere):
                await past.difference(log, first, second if turn % 4 else None, idp=idp, limit=limit)
            continue
        found = await past.difference(log, first, second if turn % 4 else None, idp=idp, limit=limit)
        assert (first, second if turn % 4 else LENGTH) == (found.first.seq, found.second.seq)
        told = folded(random_events, first, found.second.seq, idp, limit)
        assert told == Difference(**{name: getattr(found, name) for name in Difference.__struct_fields__})
        for kind in kinds:
            kinds[kind] += getattr(found.totals, kind)
    assert all(kinds.values()), "the log has all of them"


@pytest.mark.parametrize("random_events", [4], indirect=True)
async def test_two_moments_are_kept_and_a_later_one_goes_on_from_an_earlier(
    log: Log, past: History, random_events: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[Path] = []

    async def counted(path: Path, into: Path) -> None:
        copies.append(path)
        await copied(path, into)

    monkeypatch.setattr(history, "copied", counted)
    await past.difference(log, 20, 90, idp=None, limit=10)
    assert 1 == len(copies), "90 began as 20"
    await past.difference(log, 20, 90, idp=None, limit=10)
    async with past.at(log, 90) as (projection, _):
        assert projection.checkpoint is not None
        assert 90 == projection.checkpoint.seq
    assert 1 == len(copies), "both were kept"
    async with past.at(log, 10) as (projection, _):
        live = [line async for line in projection.dump()]
    assert 1 == len(copies), "10 is before either"
    other = History("default", past._directory)
    async with other.at(log, 10) as (projection, _):
        assert live == [line async for line in projection.dump()]
    await other.forget()


@pytest.mark.parametrize("random_events", [5], indirect=True)
async def test_a_copy_that_went_on_is_the_projection_of_its_moment(
    log: Log, past: History, random_events: list[Recorded], tmp_path: Path
) -> None:
    anew = History("default", tmp_path)
    for first, second in ((0, 30), (30, 60), (31, LENGTH)):
        await past.difference(log, first, second, idp=None, limit=0)
        async with past.at(log, second) as (copy, _), anew.at(log, second) as (fresh, _):
            assert [line async for line in fresh.dump()] == [line async for line in copy.dump()]
        await anew.forget()


@pytest.mark.parametrize("random_events", [6], indirect=True)
async def test_what_cannot_be_compared_is_refused(log: Log, past: History, random_events: list[Recorded]) -> None:
    with pytest.raises(BackwardsError, match="It is event 4, and the first 5"):
        await past.difference(log, 5, 4, idp=None, limit=10)
    with pytest.raises(NoSuchMoment):
        await past.difference(log, 5, LENGTH + 1, idp=None, limit=10)


@pytest.mark.parametrize("random_events", [7], indirect=True)
async def test_an_id_that_a_grant_goes_back_to_is_found_however_long_ago_it_was(
    log: Log, tmp_path: Path, live: Projection, random_events: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moments, "SCANNED", 1)
    await catch_up(log, None, live.apply)
    past = History("default", tmp_path, live=tmp_path / "live.db")
    held = replay(random_events).grants.values()
    reported = {one.cause for each in held for one in each.reports}
    in_vain = {one.last for each in held for one in each.ungiven}
    assert reported
    assert in_vain
    named = {each.stored for each in held} | reported | in_vain
    for cause in named:
        assert cause.seq == await past.place(log, cause.event_id)
    unnamed = next(
        one for one in random_events if one.cause not in named and type(one.event) not in OF_IDPS and one.seq < LENGTH
    )
    with pytest.raises(NoSuchMoment):
        await past.place(log, unnamed.event_id)


@pytest.mark.parametrize("random_events", [7], indirect=True)
async def test_what_the_fold_names_counts_only_where_it_stands_in_this_log(
    log: Log, tmp_path: Path, live: Projection, random_events: list[Recorded]
) -> None:
    moved = [replace(one, seq=one.seq + 1) for one in random_events]
    await live.apply(moved, Checkpoint(START, LENGTH + 1, GENESIS))
    past = History("default", tmp_path, live=tmp_path / "live.db")
    for row in worklist(replay(random_events)):
        assert row.stored.seq == await past.place(log, row.stored.event_id)


async def test_moments_that_a_killed_process_left_are_removed_once_nobody_lives_who_may_use_them(
    tmp_path: Path,
) -> None:
    """Each `History` takes the place by a lock of its own, as one of another process does."""
    left, other = tmp_path / "moment-left", tmp_path / "projection.db"
    one, another, last = (History("default", tmp_path) for _ in range(3))
    one.take_place()
    left.mkdir()
    (left / history.FILE).touch()
    other.touch()
    another.take_place()
    assert left.exists()
    await one.forget()
    await another.forget()
    last.take_place()
    assert ["projection.db"] == os.listdir(tmp_path)  # noqa: PTH208  # the pathlib way is refused in a coroutine
    await last.forget()
