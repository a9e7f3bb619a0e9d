"""Who said no on the IdP's page was asked: the worklist says so, and when, and asks again all the same."""

import pytest

from scopefold.consent.next_step import next_steps
from scopefold.consent.reasons import reasons_in
from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.consent.ungiven import Declined
from scopefold.contracts.events import ConsentDeclined, Event
from tests.support.logs import (
    CLIENT,
    CONFLUENCE,
    JIRA,
    START,
    cleared,
    erased,
    log_of,
    provisioned,
    registered,
    removed,
    stored,
)

ALICE = "u_alice001"
ASKED, NEW, LATER = (*JIRA, *CONFLUENCE), sorted(CONFLUENCE[:2]), "write:confluence-props"
STORY: tuple[Event, ...] = (
    registered(),  # 1
    provisioned("jira-user", JIRA),  # 2
    stored(ALICE, JIRA[:-1]),  # 3
    provisioned("confluence-user", CONFLUENCE),  # 4
)


def said_no(*requested: str, user: str | None = ALICE) -> ConsentDeclined:
    return ConsentDeclined(attempt="attempt-1", idp="atlassian", client=CLIENT, user=user, requested=requested)


def row(*events: Event) -> Row:
    (found,) = worklist(replay(log_of(*STORY, *events)))
    return found


def told(declined: Declined | None) -> tuple[int, list[str]] | None:
    """Of which event it is known, and what it was."""
    return None if declined is None else (declined.cause.seq, list(declined.scopes))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ((), None),
        ((said_no(*ASKED),), (5, NEW)),  # what is granted already was not declined
        ((said_no(*ASKED), said_no(*ASKED)), (6, NEW)),  # the last time
        ((said_no(*ASKED), said_no(*JIRA)), (5, NEW)),
        ((said_no(*JIRA),), None),
        ((said_no(*ASKED, user=None),), None),  # nobody knows who it was
        ((said_no(*ASKED), stored(ALICE, JIRA[:-1], generation=2, cause="refresh")), (5, NEW)),
        ((said_no(*ASKED), stored(ALICE, JIRA[:-1], generation=2)), None),  # came again, and consented
        ((said_no(*ASKED), stored(ALICE, JIRA[:-1], generation=1)), (5, NEW)),  # a token that came late
        ((said_no(*ASKED), cleared(ALICE)), (5, NEW)),
        ((removed(), registered(), provisioned("wiki", NEW), said_no(*ASKED), stored(ALICE, (), generation=2)), None),
    ],
)
def test_what_was_declined_is_kept_until_the_next_consent(
    events: tuple[Event, ...], expected: tuple[int, list[str]] | None
) -> None:
    assert expected == told(row(*events).declined)


def test_of_who_is_gone_or_was_never_here_nothing_is_kept() -> None:
    grants = replay(log_of(*STORY, erased(ALICE), said_no(*ASKED), said_no(*ASKED, user="u_nobody01"))).grants
    assert [(ALICE, None)] == [(user, held.declined) for (_, user), held in grants.items()]


def test_declined_is_told_from_not_asked_yet_and_asked_again_however_often() -> None:
    state = replay(log_of(*STORY, *[said_no(*ASKED)] * 5, provisioned("wiki", [LATER])))
    (found,) = worklist(state)
    why = reasons_in(state).of(found)
    assert {**dict.fromkeys(NEW, "not-allowed"), LATER: "never-asked"} == why
    assert {**dict.fromkeys(NEW, "send-link"), LATER: "next-login"} == next_steps(
        state.scopes.idps["atlassian"], found, why, START
    )
