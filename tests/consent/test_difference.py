"""The difference between two moments is exact: applied to the first worklist it gives the second."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent.difference import Difference, difference
from scopefold.consent.reconsent import Row, State, replay, worklist
from scopefold.contracts.events import ConsentDeclined, Event
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.subjects import OF_IDPS
from tests.support.logs import (
    BASE,
    CLIENT,
    CONFLUENCE,
    JIRA,
    START,
    cleared,
    deprovisioned,
    insufficient,
    log_of,
    logs,
    provisioned,
    registered,
    removed,
    restored,
    stored,
    withheld,
)

ALICE, BOB = "u_alice001", "u_bob00001"
READ = "read:confluence-content.all"


def rows_of(state: State) -> dict[tuple[str, str], Row]:
    """The worklist by IdP and user."""
    return {(row.idp, row.user): row for row in worklist(state)}


def applied(rows: Mapping[tuple[str, str], Row], change: Difference) -> dict[tuple[str, str], Row]:
    """The later worklist, from the earlier one and the difference."""
    left = {(one.was.idp, one.was.user) for one in change.left}
    stayed = {key: row for key, row in rows.items() if key not in left}
    return stayed | {(row.idp, row.user): row for row in (*change.entered, *(one.now for one in change.changed))}


def told(rows: Mapping[tuple[str, str], Row]) -> dict[tuple[str, str], object]:
    """What a newer token alone does not change."""
    return {
        key: (row.missing, row.known_by, row.cleared and row.cleared.reason, [one.missing for one in row.reports])
        for key, row in rows.items()
    }


def between(log: list[Recorded], first: int, second: int) -> Difference:
    before = replay(log[:first])
    return difference(before, replay(log[first:second], before), log[first:second])


def of(*events: Event, since: int) -> Difference:
    return between(log_of(*events), since, len(events))


@given(logs(), st.data())
def test_applied_to_the_first_worklist_it_gives_the_second(log: list[Recorded], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(log)))
    second = data.draw(st.integers(first, len(log)))
    change = between(log, first, second)
    was, now = rows_of(replay(log[:first])), rows_of(replay(log[:second]))
    assert told(now) == told(applied(was, change))
    assert len(change.entered) - len(change.left) == len(now) - len(was)
    assert all(one.was != one.now for one in change.changed)
    assert (len(was), len(now)) == (change.totals.before, change.totals.after)
    listed = (len(change.entered), len(change.left), len(change.changed))
    assert listed == (change.totals.entered, change.totals.left, change.totals.changed)
    assert first != second or ((0, 0, 0), ()) == (listed, change.idps)


@given(logs(), st.data())
def test_what_concerns_users_may_be_left_out_of_what_is_between(log: list[Recorded], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(log)))
    before, after = replay(log[:first]), replay(log)
    few = [one for one in log[first:] if type(one.event) in OF_IDPS]
    assert difference(before, after, log[first:]) == difference(before, after, few)


@given(logs(), st.integers(0, 3))
def test_a_limit_bounds_what_is_listed_and_not_what_is_counted(log: list[Recorded], limit: int) -> None:
    before, after = replay(log[: len(log) // 2]), replay(log)
    whole, few = (difference(before, after, log[len(log) // 2 :], limit=most) for most in (None, limit))
    assert (whole.totals, whole.idps) == (few.totals, few.idps)
    for name in ("entered", "left", "changed"):
        assert getattr(whole, name)[:limit] == getattr(few, name)


@given(logs(), st.data())
def test_every_scope_that_came_or_went_has_an_event_that_moved_it(log: list[Recorded], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(log)))
    before, after = replay(log[:first]), replay(log)
    change = difference(before, after, log[first:])
    for idp in change.idps:
        was, now = (set(state.scopes.idp(idp.idp).union) for state in (before, after))
        assert (now - was, was - now) == ({one.scope for one in idp.union}, {one.scope for one in idp.pruned})
        for moved in (*idp.union, *idp.pruned, *idp.needed, *idp.unneeded, *idp.withheld, *idp.restored):
            assert moved.because
            assert all(first < reason.cause.seq <= len(log) for reason in moved.because)


def test_a_provisioning_brings_users_on_the_worklist_and_scopes_into_the_union() -> None:
    change = of(
        registered(base=()), provisioned("jira-user", JIRA), stored(ALICE, JIRA), provisioned("wiki", [READ]), since=3
    )
    assert [(ALICE, 4)] == [(row.user, row.since.seq) for row in change.entered]
    (idp,) = change.idps
    assert [READ] == [one.scope for one in idp.union] == [one.scope for one in idp.needed]
    (reason,) = idp.union[0].because
    assert ("connector-provisioned", "identos.wiki", 4) == (reason.event, reason.connector, reason.cause.seq)


def test_who_leaves_by_a_consent_and_who_by_a_deprovisioning_are_told_apart() -> None:
    begun: list[Event] = [registered(base=()), provisioned("jira-user", JIRA), stored(ALICE, JIRA), stored(BOB, JIRA)]
    begun.append(provisioned("wiki", [READ]))
    change = of(*begun, stored(ALICE, (*JIRA, READ), generation=2), deprovisioned("wiki"), since=5)
    assert [(ALICE, "covered", 6, None), (BOB, "covered", 4, 7)] == [
        (one.was.user, one.now, one.stored.seq, one.reason and one.reason.cause.seq) for one in change.left
    ]
    assert ((), ()) == (change.entered, change.changed)
    (idp,) = change.idps
    assert [(READ, [7])] == [(one.scope, [reason.cause.seq for reason in one.because]) for one in idp.unneeded]
    assert () == idp.union, "the union keeps what nobody needs any more"


def test_who_leaves_with_their_idp_is_told_apart_and_so_is_what_was_asked_for_there() -> None:
    begun: list[Event] = [registered(base=()), provisioned("jira-user", JIRA), stored(ALICE, [READ])]
    change = of(*begun, removed(), since=3)
    assert [(ALICE, "removed", "idp-removed", 4)] == [
        (one.was.user, one.now, one.reason and one.reason.event, one.stored.seq) for one in change.left
    ]
    (idp,) = change.idps
    assert (set(JIRA), set(JIRA)) == ({one.scope for one in idp.pruned}, {one.scope for one in idp.unneeded})
    assert {("idp-removed", 4)} == {(why.event, why.cause.seq) for one in idp.pruned for why in one.because}


def test_who_stays_for_another_reason_has_changed() -> None:
    begun: list[Event] = [
        registered(base=()),
        provisioned("jira-user", JIRA),
        provisioned("wiki", CONFLUENCE),
        stored(ALICE, JIRA),
    ]
    change = of(*begun, cleared(ALICE), since=4)
    (one,) = change.changed
    assert (None, "revoked") == (one.was.cleared, one.now.cleared and one.now.cleared.reason)
    reported = of(*begun, insufficient(ALICE, "read:jira-work"), since=4)
    assert [ALICE] == [one.now.user for one in reported.changed]


def test_what_is_withheld_and_asked_for_again() -> None:
    begun: list[Event] = [registered(base=BASE), provisioned("wiki", [READ])]
    (left_out,) = of(*begun, withheld(READ), since=2).idps
    (again,) = of(*begun, withheld(READ), restored(READ), since=3).idps
    assert [READ] == [one.scope for one in left_out.withheld]
    assert [READ] == [one.scope for one in again.restored]
    assert () == of(*begun, withheld(READ), restored(READ), since=2).idps, "there and back is no change"


COMES = stored(ALICE, (*JIRA, READ), generation=2)
COMES_WITHOUT = stored(ALICE, JIRA[:4], generation=2)
GOES, OTHER = deprovisioned("wiki"), provisioned("other", JIRA[:1])


@pytest.mark.parametrize(
    ("then", "because_of"),
    [
        ((GOES, COMES_WITHOUT), 5),  # what was needed went first
        ((GOES, COMES), 5),
        ((COMES, GOES), None),
        ((COMES, OTHER), None),
        ((COMES_WITHOUT, GOES), 6),  # the token changed, and would not have done
        ((GOES, provisioned("wiki", [READ]), COMES), None),
        ((GOES, provisioned("search", [READ], alternatives=[JIRA[:1]])), 5),  # needed again, and not of this user
    ],
)
def test_who_left_did_so_by_what_would_have_done_and_came_first(then: Sequence[Event], because_of: int | None) -> None:
    wiki, token = provisioned("wiki", [READ]), stored(ALICE, JIRA)
    begun: list[Event] = [registered(base=()), provisioned("jira-user", JIRA[:4]), token, wiki]
    (left,) = of(*begun, *then, since=4).left
    assert because_of == (left.reason and left.reason.cause.seq)


SHORT = JIRA[:3]
BEGUN: list[Event] = [registered(base=()), provisioned("jira-user", JIRA), stored(ALICE, SHORT)]
NO = ConsentDeclined(attempt="attempt-1", idp="atlassian", client=CLIENT, user=ALICE, requested=JIRA)
REPORT = insufficient(ALICE, JIRA[0])


def came(generation: int, **more: Any) -> Event:
    return stored(ALICE, SHORT, generation=generation, **more)


@pytest.mark.parametrize(
    ("first", "then", "changed"),
    [
        ((), [came(2, cause="refresh")], False),
        ((), [replace(came(2, cause="refresh"), idle_expires_at=START)], False),
        ((), [came(2)], False),  # anew, and nothing else was asked for
        ((), [came(2, requested=JIRA)], True),  # it was not asked for before
        ([came(2, requested=JIRA)], [came(3, requested=JIRA)], True),  # from now on an operator must restore it
        ([came(2, requested=JIRA), came(3, requested=JIRA)], [came(4, requested=JIRA)], False),
        ([provisioned("wiki", [READ])], [came(2, requested=(*SHORT, BASE[0]))], False),  # nobody needs that
        ((), [NO], True),
        ([NO], [NO], False),
        ((), [REPORT], True),
        ([REPORT], [came(2), REPORT], False),
        ([REPORT], [came(2)], True),  # known by the IdP's word again
        ((), [replace(came(2), known_by="probed")], True),
        ((), [cleared(ALICE)], True),
        ((), [stored(ALICE, SHORT[:2], generation=2, cause="refresh")], True),
        ((), [provisioned("jira-user", JIRA, version="2.0.0")], False),
        ((), [provisioned("search", JIRA[3:4])], True),  # because of another, too
    ],
)
def test_a_newer_token_alone_is_no_change_of_who_must_consent(
    first: Sequence[Event], then: Sequence[Event], changed: bool
) -> None:
    change = of(*BEGUN, *first, *then, since=len(BEGUN) + len(first))
    assert ((), (), changed) == (change.entered, change.left, bool(change.changed))
