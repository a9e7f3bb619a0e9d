"""What ends with time at the stand-ins, and that what is one app's serves no other."""

from collections.abc import Mapping
from typing import Any

import pytest

from scopefold.sandbox.core import grants, slack
from tests.sandbox.stand import good, stand_in

HOUR = 3600.0
DAY = 24 * HOUR
NAMES = ["atlassian", "bitbucket", "google", "microsoft", "github", "slack", "oidc"]
RENEWABLE = ["atlassian", "bitbucket", "google", "microsoft", "oidc"]


@pytest.mark.parametrize(("after", "serves"), [(599.0, True), (600.0, False)])
@pytest.mark.parametrize("name", NAMES)
def test_a_code_serves_for_ten_minutes(name: str, after: float, serves: bool) -> None:
    stand = stand_in(name)
    assert serves is good(stand.redeem(stand.code(0.0), after))


@pytest.mark.parametrize("name", NAMES)
def test_a_code_of_another_app_serves_nobody(name: str) -> None:
    stand = stand_in(name)
    code = stand.code(0.0)
    assert [False, False] == [good(stand.redeem(code, 1.0, who)) for who in (stand.second_app(), "")]


@pytest.mark.parametrize("name", RENEWABLE)
def test_a_refresh_token_of_another_app_serves_only_its_own(name: str) -> None:
    stand = stand_in(name)
    token = stand.tokens(0.0)["refresh_token"]
    assert [False, True] == [good(stand.refresh(token, 1.0, who)) for who in (stand.second_app(), "")]


ENDS: list[tuple[str, Mapping[str, Any], float]] = [
    ("atlassian", {}, 90 * DAY),
    ("google", {}, 182 * DAY),
    ("google", {"publishing": "testing"}, 7 * DAY),
    ("google", {"time_based_access": True}, DAY),
    ("microsoft", {}, 90 * DAY),
    ("oidc", {}, 30 * DAY),
]


@pytest.mark.parametrize(("name", "switches", "after"), ENDS)
def test_a_refresh_token_that_is_not_used_ends(name: str, switches: Mapping[str, Any], after: float) -> None:
    for moment, serves in ((after, True), (after + 1, False)):
        stand = stand_in(name, **switches)
        token = stand.tokens(0.0)["refresh_token"]
        assert serves is good(stand.refresh(token, moment))


@pytest.mark.parametrize(("absolute", "serves"), [(False, True), (True, False)])
def test_atlassians_refresh_tokens_end_after_a_year_only_with_the_switch(absolute: bool, serves: bool) -> None:
    stand = stand_in("atlassian", absolute_expiry=absolute)
    token = stand.tokens(0.0)["refresh_token"]
    for day in (80, 160, 240, 320):
        token = stand.refresh(token, day * DAY).members["refresh_token"]
    assert serves is good(stand.refresh(token, 366 * DAY))


def test_microsoft_says_that_a_refresh_token_ended_unused() -> None:
    stand = stand_in("microsoft")
    answer = stand.refresh(stand.tokens(0.0)["refresh_token"], 90 * DAY + 1)
    assert [700082] == answer.members["error_codes"]
    assert "The token was issued on 1970-01-01T00:00:00.0000000Z" in answer.members["error_description"]


def test_a_google_client_in_use_never_ends() -> None:
    stand = stand_in("google")
    token = stand.tokens(0.0)["refresh_token"]
    assert all(good(stand.refresh(token, turn * 181 * DAY)) for turn in range(1, 5))


@pytest.mark.parametrize(
    ("name", "switches", "seconds"),
    [
        ("atlassian", {}, HOUR),
        ("bitbucket", {}, 2 * HOUR),
        ("bitbucket", {"lifetime": 3600}, HOUR),
        ("google", {}, 3599.0),
        ("microsoft", {}, 3599.0),
        ("slack", {"token_rotation": True}, 12 * HOUR),
        ("oidc", {}, HOUR),
    ],
)
def test_an_access_token_ends_when_the_answer_said(name: str, switches: Mapping[str, Any], seconds: float) -> None:
    stand = stand_in(name, **switches)
    found = stand.tokens(0.0)
    assert seconds == found["expires_in"]
    alive = [
        grants.authorized(stand.state, found["access_token"], now=now) is not None for now in (seconds - 1, seconds)
    ]
    assert [True, False] == alive


@pytest.mark.parametrize("name", ["github", "slack"])
def test_a_token_without_an_end_has_none(name: str) -> None:
    stand = stand_in(name)
    found = stand.tokens(0.0)
    assert "expires_in" not in found
    assert grants.authorized(stand.state, found["access_token"], now=100 * 365 * DAY) is not None


def test_slack_tells_an_ended_token_from_an_unknown_one() -> None:
    stand = stand_in("slack", token_rotation=True)
    token = stand.tokens(0.0)["access_token"]
    answers = [slack.test(stand.state, one, now=13 * HOUR).members["error"] for one in (token, "guess")]
    assert ["token_expired", "invalid_auth"] == answers


def test_google_may_name_its_issuer_without_a_scheme() -> None:
    stand = stand_in("google", issuer_without_scheme=True)
    answer = stand.redeem(stand.code(0.0), 1.0)
    assert answer.identity is not None
    assert "sandbox.example/google" == answer.identity["iss"]
