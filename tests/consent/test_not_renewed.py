"""What was granted, and left out by the provider when the token was renewed, is told as that."""

from collections.abc import Sequence
from typing import Literal

import pytest

from scopefold.consent.next_step import next_steps
from scopefold.consent.reasons import reasons_in
from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.consent.ungiven import Why
from scopefold.contracts.events import ConsentDeclined, Event
from tests.support.logs import CLIENT, START, cleared, insufficient, log_of, provisioned, registered, removed, stored

ALICE = "u_alice001"
MAIL, FILES, CALENDAR = "Mail.Read", "Files.Read", "Calendars.Read"
LONG_MAIL = "https://graph.microsoft.com/mail.read"
BOTH = (MAIL, FILES)
STORY: tuple[Event, ...] = (registered("ms", "microsoft", ()), provisioned("office", BOTH, "ms"))


def token(
    generation: int,
    granted: Sequence[str] | None,
    cause: Literal["login", "step-up", "refresh"] = "refresh",
    requested: Sequence[str] = BOTH,
) -> Event:
    return stored(ALICE, granted, generation=generation, cause=cause, idp="ms", requested=requested)


FIRST = token(1, BOTH, "login")
NO = ConsentDeclined(attempt="attempt-1", idp="ms", client=CLIENT, user=ALICE, requested=BOTH)


def row_of(*events: Event) -> tuple[Row, dict[str, Why]]:
    state = replay(log_of(*STORY, *events))
    (row,) = worklist(state)
    return row, reasons_in(state).of(row)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([FIRST, token(2, [FILES])], {MAIL: "not-renewed"}),
        ([FIRST, token(2, [LONG_MAIL])], {FILES: "not-renewed"}),
        ([FIRST, token(2, []), token(3, [])], {MAIL: "not-renewed", FILES: "not-renewed"}),
        ([FIRST, token(2, [FILES]), token(3, None)], {MAIL: "not-renewed"}),
        ([FIRST, token(2, [FILES]), token(3, [MAIL])], {MAIL: "not-renewed", FILES: "not-renewed"}),
        ([FIRST, token(2, [FILES]), token(2, [])], {MAIL: "not-renewed"}),  # another of that generation is none
        ([token(1, [FILES], "login", [FILES]), token(2, [FILES])], {MAIL: "never-asked"}),
        ([token(1, [FILES], "login"), token(2, [FILES])], {MAIL: "not-given"}),
        ([FIRST, token(2, [FILES]), token(3, [FILES], "step-up")], {MAIL: "not-given"}),
        ([FIRST, token(2, [FILES]), token(3, [FILES], "login", [FILES])], {MAIL: "never-asked"}),
        ([FIRST, token(2, [FILES]), NO], {MAIL: "not-allowed"}),
        ([FIRST, insufficient(ALICE, MAIL, idp="ms"), token(2, BOTH)], {MAIL: "disproved"}),
        ([FIRST, insufficient(ALICE, MAIL, idp="ms"), token(2, [FILES])], {MAIL: "not-renewed"}),
        ([FIRST, insufficient(ALICE, MAIL, idp="ms"), token(2, [MAIL])], {MAIL: "disproved", FILES: "not-renewed"}),
        ([FIRST, token(2, [FILES]), cleared(ALICE, generation=2, idp="ms")], {MAIL: "cleared", FILES: "cleared"}),
        ([FIRST, token(2, [FILES]), removed("ms"), *STORY, token(3, [FILES])], {MAIL: "never-asked"}),
        ([token(1, None, "login"), token(2, [FILES])], {MAIL: "not-given"}),  # asked for, and never there
    ],
)
def test_why_a_scope_is_missing_after_renewals(events: Sequence[Event], expected: dict[str, Why]) -> None:
    assert expected == row_of(*events)[1]


def test_what_is_implied_by_what_was_left_out_was_left_out() -> None:
    events = (registered("ms", "microsoft", ()), provisioned("office", ["Mail.Read"], "ms"))
    log = log_of(*events, token(1, ["Mail.ReadWrite"], "login"), token(2, []))
    state = replay(log)
    (row,) = worklist(state)
    assert {"Mail.Read": "not-renewed"} == reasons_in(state).of(row)


def test_what_proves_itself_by_a_refresh_token_is_not_left_out_of_an_answer_that_does_not_name_it() -> None:
    row, _ = row_of(token(1, [*BOTH, "offline_access"], "login"), token(2, [FILES]))
    assert ("https://graph.microsoft.com/mail.read",) == row.not_renewed


def test_the_next_login_asks_for_it() -> None:
    events = (FIRST, token(2, [FILES]))
    row, why = row_of(*events)
    assert {MAIL: "next-login"} == next_steps(replay(log_of(*STORY)).scopes.idp("ms"), row, why, START)
