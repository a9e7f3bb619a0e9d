"""A connector that any one of several lists of scopes serves."""

from collections.abc import Sequence

import pytest

from scopefold.consent.idp_scopes import MOST_TAKEN_AWAY
from scopefold.consent.reconsent import replay, worklist
from scopefold.contracts.events import Event
from tests.support.logs import (
    deprovisioned,
    insufficient,
    log_of,
    provisioned,
    registered,
    restored,
    stored,
    withheld,
)

ALICE = "u_alice001"
CLASSIC = ("read:jira-work",)
GRANULAR = ("read:issue:jira", "read:project:jira")
EITHER = provisioned("jira-user", CLASSIC, alternatives=[GRANULAR])


def lacking(*events: Event) -> dict[str, list[str]]:
    return {row.user: [lack.scope for lack in row.missing] for row in worklist(replay(log_of(registered(), *events)))}


def test_only_the_first_list_is_asked_for() -> None:
    idp = replay(log_of(registered(base=()), EITHER)).scopes.idps["atlassian"]
    assert idp.union == CLASSIC
    assert idp.connectors["urn:connector:identos:jira-user"].alternatives == (GRANULAR,)


def test_either_list_serves() -> None:
    assert lacking(EITHER, stored(ALICE, CLASSIC)) == {}
    assert lacking(EITHER, stored(ALICE, GRANULAR)) == {}


def test_a_part_of_each_serves_nothing_and_what_will_be_asked_for_is_what_is_missing() -> None:
    """One more granular scope would do, but no login asks for it."""
    assert lacking(EITHER, stored(ALICE, GRANULAR[:1])) == {ALICE: ["read:jira-work"]}


def test_where_another_connector_asks_for_the_other_list_the_cheapest_is_missing() -> None:
    wide = provisioned("jira-user", ("read:jira-work", "write:jira-work"), alternatives=[GRANULAR])
    other = provisioned("search", GRANULAR)
    assert lacking(wide, other, stored(ALICE, GRANULAR[:1])) == {ALICE: ["read:project:jira"]}
    (row,) = worklist(replay(log_of(registered(), wide, other, stored(ALICE, GRANULAR[:1]))))
    assert [because.connector for because in row.missing[0].because] == ["identos.search", "identos.jira-user"]


def test_a_part_of_another_list_is_not_dated_anew_by_another_version_of_the_same_lists() -> None:
    wide = ("read:jira-work", "write:jira-work")
    versions = [provisioned("jira-user", wide, version=version, alternatives=[GRANULAR]) for version in ("1", "2")]
    events = (registered(), versions[0], provisioned("search", GRANULAR), stored(ALICE, GRANULAR[:1]), versions[1])
    (row,) = worklist(replay(log_of(*events)))
    causes = {because.connector: (because.cause.seq, because.version) for because in row.missing[0].because}
    assert ({"identos.search": (3, "1.0.0"), "identos.jira-user": (2, "1")}, 4) == (causes, row.since.seq)


def test_a_grant_of_which_nothing_is_known_is_not_on_the_list() -> None:
    assert lacking(EITHER, stored(ALICE, None)) == {}


def test_a_version_without_alternatives_takes_them_back() -> None:
    narrow = provisioned("jira-user", CLASSIC, version="2.0.0")
    assert lacking(EITHER, stored(ALICE, GRANULAR), narrow) == {ALICE: ["read:jira-work"]}


def since(*events: Event) -> dict[str, tuple[int, list[tuple[str, int, str | None]]]]:
    """Since when each user is on the list, and each scope with since when it is needed, in which version."""
    return {
        row.user: (
            row.since.seq,
            [(lack.scope, one.cause.seq, one.version) for lack in row.missing for one in lack.because],
        )
        for row in worklist(replay(log_of(registered(), *events)))
    }


NARROW = provisioned("jira-user", CLASSIC, version="2.0.0")
WORK = "read:jira-work"


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((EITHER, stored(ALICE, GRANULAR), NARROW), (4, [(WORK, 4, "2.0.0")])),
        ((EITHER, stored(ALICE, ["read:me"]), NARROW), (3, [(WORK, 2, "1.0.0")])),  # never held the other list
        ((EITHER, stored(ALICE, GRANULAR[:1]), NARROW), (3, [(WORK, 2, "1.0.0")])),  # nor all of it
        ((EITHER, NARROW, stored(ALICE, GRANULAR)), (4, [(WORK, 3, "2.0.0")])),  # it served no more when it came
        ((EITHER, stored(ALICE, GRANULAR), NARROW, NARROW), (4, [(WORK, 4, "2.0.0")])),
        ((EITHER, stored(ALICE, GRANULAR), NARROW, EITHER, NARROW), (6, [(WORK, 6, "2.0.0")])),  # it served again
        (
            (EITHER, stored(ALICE, GRANULAR), provisioned("jira-user", CLASSIC, version="2", alternatives=[["a"]])),
            (4, [(WORK, 4, "2")]),
        ),
        (
            (EITHER, stored(ALICE, CLASSIC), provisioned("jira-user", GRANULAR, version="2")),  # the first list goes
            (4, [(GRANULAR[0], 4, "2"), (GRANULAR[1], 4, "2")]),
        ),
        (
            (EITHER, provisioned("wiki", CLASSIC), stored(ALICE, GRANULAR), NARROW),  # another has needed it all along
            (4, [(WORK, 5, "2.0.0"), (WORK, 3, "1.0.0")]),
        ),
        (
            (EITHER, stored(ALICE, GRANULAR), deprovisioned("jira-user"), EITHER, NARROW),
            (6, [(WORK, 6, "2.0.0")]),
        ),
        (
            (EITHER, stored(ALICE, GRANULAR), NARROW, stored(ALICE, GRANULAR, generation=2, cause="refresh")),
            (4, [(WORK, 4, "2.0.0")]),
        ),
        ((EITHER, stored(ALICE, GRANULAR), NARROW, insufficient(ALICE, GRANULAR[0])), (4, [(WORK, 4, "2.0.0")])),
    ],
)
def test_who_held_a_list_that_was_taken_away_lacks_something_since_then_and_nobody_else_does(
    events: Sequence[Event], expected: tuple[int, list[tuple[str, int, str]]]
) -> None:
    assert {ALICE: expected} == since(*events)


def test_of_a_list_that_calls_disprove_since_tells_the_token_and_not_the_call() -> None:
    """Which report took which list away is not kept; docs/worklist.md says so."""
    reported = (EITHER, stored(ALICE, GRANULAR), insufficient(ALICE, GRANULAR[0]))
    assert {ALICE: (3, [(WORK, 2, "1.0.0")])} == since(*reported)


def test_so_many_lists_are_remembered_and_no_more() -> None:
    """The oldest are forgotten: who still holds such a one is told as if it had never served."""
    versions = [provisioned("jira-user", CLASSIC, alternatives=[[f"read:{n}"]]) for n in range(MOST_TAKEN_AWAY + 2)]
    state = replay(log_of(registered(), *versions))
    (connector,) = state.scopes.idps["atlassian"].connectors.values()
    named = [one.scopes for one in connector.taken_away]
    assert [(f"read:{n}",) for n in range(1, MOST_TAKEN_AWAY + 1)] == named


def test_withholding_changes_no_need_and_no_union() -> None:
    events = (registered(base=()), EITHER, stored(ALICE, ()), withheld("read:jira-work"))
    state = replay(log_of(*events))
    assert (state.scopes.idps["atlassian"].withheld, state.scopes.idps["atlassian"].union) == (CLASSIC, CLASSIC)
    assert [row.user for row in worklist(state)] == [ALICE]
    again = replay(log_of(*events, restored("read:jira-work")))
    assert again.scopes.idps["atlassian"].withheld == ()
