"""What a user was asked for in vain, how often, and who can mend it."""

from typing import Literal

import pytest

from scopefold.consent.reconsent import UserGrant, replay
from scopefold.consent.ungiven import Ungiven, Why, given_up, why
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Cause
from scopefold.scopes.shipped import profile_named
from tests.support.logs import START, cleared, insufficient, log_of, provisioned, registered, restored, stored

BOB = "u_bob00001"
MAIL, DRIVE = "https://www.googleapis.com/auth/gmail.modify", "https://www.googleapis.com/auth/drive"
ASKED = ("openid", "email", MAIL, DRIVE)
STORY: tuple[Event, ...] = (registered("google", "google"), provisioned("gmail", [MAIL, DRIVE], "google"))


def came(granted: tuple[str, ...] | None, generation: int, cause: Literal["step-up", "refresh"] = "step-up") -> Event:
    """Bob came back with a token. Who he is was granted in any case."""
    told = None if granted is None else (*ASKED[:2], *granted)
    return stored(BOB, told, generation=generation, cause=cause, idp="google", requested=ASKED)


def held(*events: Event) -> UserGrant:
    return replay(log_of(*STORY, *events)).grants["google", BOB]


def counted(*events: Event) -> dict[str, int]:
    return {one.scope: one.times for one in held(*events).ungiven}


def in_vain(*events: Event) -> frozenset[str]:
    idp = replay(log_of(*STORY, *events)).scopes.idps["google"]
    return given_up(idp, held(*events).ungiven)


def test_what_was_given_was_not_asked_for_in_vain() -> None:
    assert counted(came((MAIL, DRIVE), 1)) == {}


def test_each_time_in_a_row_counts() -> None:
    assert counted(came((MAIL,), 1)) == {DRIVE: 1}
    assert counted(came((MAIL,), 1), came((MAIL,), 2)) == {DRIVE: 2}
    assert held(came((MAIL,), 1), came((MAIL,), 2)).ungiven[0].last.seq == 4


def test_given_in_between_it_begins_anew() -> None:
    assert counted(came((MAIL,), 1), came((MAIL, DRIVE), 2), came((MAIL,), 3)) == {DRIVE: 1}


def test_a_refresh_asks_nobody() -> None:
    assert counted(came((MAIL,), 1), came((MAIL,), 2, "refresh")) == {DRIVE: 1}


def test_what_the_provider_did_not_say_counts_as_nothing() -> None:
    assert counted(came(None, 1)) == {}
    assert counted(came((MAIL,), 1), came(None, 2)) == {DRIVE: 1}


def test_the_first_renewal_that_tells_says_what_came_of_a_login_that_did_not() -> None:
    silent = (came(None, 1), came(None, 2, "refresh"))
    told = held(*silent, came((MAIL,), 3, "refresh"), came((MAIL,), 4, "refresh"))
    assert [(DRIVE, 1, 3)] == [(one.scope, one.times, one.last.seq) for one in told.ungiven], "asked at the login, once"
    assert counted(*silent, came((MAIL, DRIVE), 3, "refresh")) == {}
    assert counted(*silent, came((MAIL, DRIVE), 3, "refresh"), came((MAIL,), 4, "refresh")) == {}, "given, and left out"
    assert counted(came((MAIL,), 1), *(came(None, n) for n in (2, 3)), came((MAIL,), 4, "refresh")) == {DRIVE: 2}
    assert counted(*silent, came((), 3), came((), 4, "refresh")) == {MAIL: 1, DRIVE: 1}, "the next login told"


def test_of_a_token_that_was_cleared_before_it_told_anything_nothing_is_told_later() -> None:
    gone = cleared(BOB, generation=1, idp="google")
    assert counted(came(None, 1), gone, came((MAIL,), 2, "refresh")) == {}


def test_what_a_call_disproved_while_nobody_knew_the_grant_was_given_if_a_renewal_says_so() -> None:
    reported = insufficient(BOB, DRIVE, idp="google")
    assert counted(came(None, 1), reported, came((MAIL, DRIVE), 2, "refresh")) == {}
    assert counted(came(None, 1), reported, came((MAIL,), 2, "refresh")) == {DRIVE: 1}


def test_what_proves_itself_was_asked_for_in_vain_where_the_provider_says_nothing_else() -> None:
    """Who is asked for `offline_access` and brings no refresh token was asked, whatever else is not known."""

    begun = (registered(), provisioned("jira-user", ["read:me", "offline_access"]))

    def silent(generation: int, *evidence: Literal["identity", "refresh_token"]) -> Event:
        asked = ("read:me", "offline_access")
        return stored(BOB, None, generation=generation, evidence=evidence, requested=asked)

    def times(*events: Event) -> dict[str, int]:
        grants = replay(log_of(*begun, *events)).grants
        return {one.scope: one.times for one in grants["atlassian", BOB].ungiven}

    assert times(silent(1, "identity", "refresh_token")) == {}
    assert times(silent(1, "identity"), silent(2, "identity")) == {"offline_access": 2}
    told = stored(BOB, ["read:me"], generation=2, cause="refresh", evidence=("identity",))
    assert times(silent(1, "identity"), told) == {"offline_access": 1}, "not once more by the renewal"


def test_a_token_said_twice_counts_once() -> None:
    again = came((MAIL,), 1)
    assert counted(again, again) == {DRIVE: 1}


def test_after_the_second_time_asking_once_more_is_in_vain_until_an_operator_says_otherwise() -> None:
    twice = (came((MAIL,), 1), came((MAIL,), 2))
    assert in_vain(*twice[:1]) == frozenset()
    assert in_vain(*twice) == {DRIVE}
    assert in_vain(*twice, restored(DRIVE, idp="google")) == frozenset()
    assert in_vain(*twice, restored(DRIVE, idp="google"), came((MAIL,), 3)) == {DRIVE}


LAST = Cause(9, START, "event-000009")


@pytest.mark.parametrize(
    ("profile", "ungiven", "users_with", "users_without", "expected"),
    [
        ("google", (), 5, 0, "never-asked"),
        ("google", (Ungiven(DRIVE, 1, LAST),), 5, 1, "not-allowed"),
        ("google", (Ungiven(DRIVE, 1, LAST),), 0, 2, "not-allowed"),
        ("google", (Ungiven(DRIVE, 1, LAST),), 0, 3, "not-given"),
        ("google", (Ungiven(DRIVE, 1, LAST),), 1, 300, "not-allowed"),
        ("atlassian", (Ungiven(DRIVE, 1, LAST),), 0, 1, "not-given"),  # all or nothing: nobody unticks there
        ("atlassian", (Ungiven(DRIVE, 1, LAST),), 7, 1, "not-allowed"),
    ],
)
def test_who_is_to_be_asked(
    profile: str, ungiven: tuple[Ungiven, ...], users_with: int, users_without: int, expected: Why
) -> None:
    names = [one.scope for one in ungiven]
    told = why(profile_named(profile), DRIVE, names, users_with=users_with, users_without=users_without)
    assert expected == told


def test_what_a_call_has_shown_to_be_missing_was_granted_and_not_left_out() -> None:
    told = why(profile_named("google"), DRIVE, (), disproved=[DRIVE], users_with=3, users_without=0)
    assert told == "disproved"
