"""The difference of two moments that are folded in bulk is that of the folds one by one, whatever the log holds."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent import bulk_difference
from scopefold.consent.bulk import Bulk
from scopefold.consent.bulk_difference import BulkDifference
from scopefold.consent.bulk_worklist import BulkWorklist
from scopefold.consent.difference import Comparison, Difference, difference
from scopefold.consent.intake import Intake
from scopefold.consent.kept import kept, restored
from scopefold.consent.reconsent import UserGrant, replay
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.subjects import OF_IDPS
from tests.support.bulk import Log, hard_log, hard_logs, ours, table_of
from tests.support.logs import BASE, JIRA, START, log_of, provisioned, registered, stored

LONG, CUTS = 500, (0, 300, 480)


def folded(log: Log, *, slots: int) -> tuple[Bulk, pa.Array]:
    bulk, intake = Bulk(slots=slots), Intake("default", pa.array([], pa.string()))
    if log:
        bulk.fold(intake.facts(table_of(log)))
    return bulk, intake.users


def of_idps(log: Log) -> Sequence[Recorded]:
    return [one for one in ours(log) if type(one.event) in OF_IDPS]


def one_by_one(log: Log, cut: int, *, limit: int | None = None, idp: str | None = None) -> Difference:
    before = replay(ours(log[:cut]))
    return difference(before, replay(ours(log[cut:]), before), of_idps(log[cut:]), idp=idp, limit=limit)


def both(
    log: Log, cut: int, *, slots: int = 4, limit: int | None = None, idp: str | None = None
) -> tuple[Difference, Difference]:
    """From the cut to the end: one by one, and in bulk. The first moment comes from bytes, with shapes of its own."""
    expected = one_by_one(log, cut, limit=limit, idp=idp)
    (earlier, _), (later, users) = folded(log[:cut], slots=slots), folded(log, slots=slots)
    sides = BulkWorklist(restored(kept(earlier, "x"), "x"), users), BulkWorklist(later, users)
    found = BulkDifference(*sides, of_idps(log[cut:]), idp=idp, limit=limit)
    causes = {one.seq: one.cause for one in ours(log)}
    return expected, found.told({seq: causes[seq] for seq in found.sequences})


@given(hard_logs(90), st.integers(0, 90), st.sampled_from([1, 2, 4]), st.sampled_from([None, 0, 1, 3]))
def test_both_say_the_same_from_every_cut(log: Log, cut: int, slots: int, limit: int | None) -> None:
    expected, found = both(log, min(cut, len(log)), slots=slots, limit=limit)
    assert expected == found


@pytest.mark.parametrize(("seed", "idp"), [(0, None), (1, "atlassian"), (2, None)])
def test_both_say_the_same_of_a_long_log(seed: int, idp: str | None) -> None:
    log = hard_log(Random(seed), LONG)
    for cut in CUTS:
        expected, found = both(log, cut, idp=idp)
        assert expected == found


def test_the_long_logs_move_users_in_every_way() -> None:
    """Else nothing would be compared."""
    logs = [hard_log(Random(seed), LONG) for seed in range(3)]
    found = [one_by_one(log, cut) for log in logs for cut in CUTS]
    assert all(any(getattr(one, kind) for one in found) for kind in ("entered", "left", "changed", "idps"))
    assert {"covered", "unknown", "erased", "removed"} == {one.now for each in found for one in each.left}


def noted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The users who are compared, from now on."""
    taken: list[str] = []

    class Noting(Comparison):
        def take(self, was: UserGrant | None, now: UserGrant) -> None:
            taken.append(now.user)
            super().take(was, now)

    monkeypatch.setattr(bulk_difference, "Comparison", Noting)
    return taken


def test_who_stays_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many users one logs in again: the difference compares hers alone."""
    taken = noted(monkeypatch)
    some = [stored(f"u_user{n:04}", BASE) for n in range(50)]
    log = log_of(registered(), provisioned("jira-user", JIRA), *some, stored("u_user0007", JIRA, generation=2))
    expected, found = both(log, len(log) - 1)
    assert expected == found
    assert {"u_user0007"} == set(taken)
    assert (50, 49, 1) == (found.totals.before, found.totals.after, len(found.left))


def test_who_has_but_a_newer_token_is_not_looked_at_where_it_says_what_the_one_before_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Alice's token is renewed for longer; Bob logs in anew and is granted what he was; Carol's renewal brings less."""
    alice, bob, carol = "u_alice001", "u_bob00001", "u_carol001"
    begun: list[Event] = [registered(), *(stored(one, JIRA[:2]) for one in (alice, bob, carol))]
    begun.append(provisioned("jira-user", JIRA))
    renewed = replace(
        stored(alice, JIRA[:2], generation=2, cause="refresh"), idle_expires_at=START + timedelta(days=900)
    )
    lessened = stored(carol, JIRA[:1], generation=2, cause="refresh")
    log = log_of(*begun, renewed, stored(bob, JIRA[:2], generation=2), lessened)
    taken = noted(monkeypatch)
    expected, found = both(log, len(begun))
    assert expected == found
    assert [carol] == [one.now.user for one in found.changed]
    assert {bob, carol} == set(taken)
