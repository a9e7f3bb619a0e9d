"""What a client asks of the authentication: read, judged and passed on. Pure."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from scopefold.auth.core.authentication import (
    ACR,
    Asked,
    BadRequest,
    fresh_enough,
    fresh_since,
    must_log_in,
    read,
    upstream_parameters,
)
from scopefold.scopes.shipped import profile_named

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def claims(**id_token: object) -> dict[str, str]:
    return {"claims": msgspec.json.encode({"id_token": id_token}).decode()}


WRONG: list[tuple[dict[str, str], str]] = [
    ({"prompt": "none login"}, "invalid_request"),
    ({"prompt": "consent none"}, "invalid_request"),
    ({"max_age": "-1"}, "invalid_request"),
    ({"max_age": "1.5"}, "invalid_request"),
    ({"max_age": "ten"}, "invalid_request"),
    ({"max_age": "\u0661"}, "invalid_request"),
    ({"max_age": "9" * 5000}, "invalid_request"),
    ({"claims": "[]"}, "invalid_request"),
    ({"claims": "{"}, "invalid_request"),
    ({"claims": '{"id_token": []}'}, "invalid_request"),
    ({"claims": '{"userinfo": {"name": true}}'}, "invalid_request"),
    ({"claims": " " * 9000 + "{}"}, "invalid_request"),
    ({"claims": "[" * 8000}, "invalid_request"),
    (claims(acr={"essential": True, "value": "gold"}), "unmet_authentication_requirements"),
    (claims(acr={"essential": True, "values": ["gold", "silver"]}), "unmet_authentication_requirements"),
    (claims(acr={"essential": True, "values": "gold"}), "unmet_authentication_requirements"),
]


@pytest.mark.parametrize(("parameters", "error"), WRONG)
def test_a_request_that_makes_no_sense_or_cannot_be_had_is_refused(parameters: dict[str, str], error: str) -> None:
    with pytest.raises(BadRequest) as told:
        read(parameters)
    assert error == told.value.error


RIGHT: list[tuple[dict[str, str], Asked]] = [
    ({}, Asked()),
    ({"prompt": "login consent"}, Asked(prompts=frozenset({"login", "consent"}))),
    ({"prompt": "something_new"}, Asked()),
    ({"max_age": "0"}, Asked(max_age=0)),
    ({"max_age": "999999999999"}, Asked(max_age=10 * 365 * 86400)),
    ({"login_hint": "a@b.example"}, Asked(login_hint="a@b.example")),
    ({"login_hint": "x" * 321}, Asked()),
    ({"acr_values": "gold silver"}, Asked()),
    ({"claims": '{"userinfo": {"name": null, "email": {"essential": true}}}'}, Asked(claims=("name", "email"))),
    (claims(sub={"value": "u_12345678"}), Asked(subject="u_12345678", claims=("sub",))),
    (claims(acr={"essential": True, "values": ["gold", ACR]}), Asked(claims=("acr",))),
    (claims(acr={"value": "gold"}), Asked(claims=("acr",))),
]


@pytest.mark.parametrize(("parameters", "asked"), RIGHT)
def test_what_a_request_asks_for_is_read(parameters: dict[str, str], asked: Asked) -> None:
    assert asked == read(parameters)


@pytest.mark.parametrize(
    ("parameters", "seconds_ago", "again"),
    [
        ({}, 10**6, False),
        ({"prompt": "login"}, 0, True),
        ({"prompt": "select_account"}, 0, True),
        ({"prompt": "consent"}, 0, False),
        ({"max_age": "0"}, 0, True),
        ({"max_age": "60"}, 60, False),
        ({"max_age": "60"}, 61, True),
        ({"max_age": "60", "prompt": "none"}, 61, True),
    ],
)
def test_who_is_logged_in_authenticates_again_where_the_client_says_so(
    parameters: dict[str, str], seconds_ago: int, again: bool
) -> None:
    assert again is must_log_in(read(parameters), NOW - timedelta(seconds=seconds_ago), NOW)


@pytest.mark.parametrize(
    ("profile", "parameters", "told"),
    [
        ("oidc", {}, {}),
        ("oidc", {"prompt": "login"}, {"prompt": "login", "max_age": "0"}),
        ("oidc", {"max_age": "60"}, {"max_age": "60"}),
        ("oidc", {"prompt": "select_account consent"}, {"prompt": "consent select_account"}),
        ("oidc", {"login_hint": "a@b.example"}, {"login_hint": "a@b.example"}),
        ("microsoft", {"max_age": "60"}, {"prompt": "login"}),
        ("okta", {"prompt": "select_account"}, {}),
        ("google", {"prompt": "login", "login_hint": "a@b.example"}, {"login_hint": "a@b.example"}),
        ("google", {"prompt": "select_account"}, {}),
        ("atlassian", {"prompt": "login", "max_age": "0", "login_hint": "a@b.example"}, {}),
        ("slack", {"prompt": "login", "login_hint": "a@b.example"}, {}),
    ],
)
def test_an_idp_is_told_what_it_knows_and_never_over_its_own_parameters(
    profile: str, parameters: dict[str, str], told: dict[str, str]
) -> None:
    known = profile_named(profile)
    assert told == upstream_parameters(known, known.authorize_params, read(parameters))


@pytest.mark.parametrize(
    ("profile", "parameters", "said_seconds_ago", "enough"),
    [
        ("oidc", {}, 10**6, True),
        ("oidc", {}, None, True),
        ("oidc", {"prompt": "login"}, 30, True),  # a clock that is behind
        ("oidc", {"prompt": "login"}, 61, False),  # the browser stripped prompt=login
        ("oidc", {"prompt": "login"}, None, False),  # and max_age, which would have brought auth_time
        ("oidc", {"max_age": "300"}, 360, True),
        ("oidc", {"max_age": "300"}, 361, False),
        ("microsoft", {"prompt": "login"}, None, True),
        ("microsoft", {"prompt": "login"}, 61, False),
        ("atlassian", {"max_age": "0"}, None, True),
    ],
)
def test_A27_what_the_idp_says_decides_whether_the_user_authenticated_again(
    profile: str, parameters: dict[str, str], said_seconds_ago: int | None, enough: bool
) -> None:
    said = None if said_seconds_ago is None else NOW - timedelta(seconds=said_seconds_ago)
    assert enough is fresh_enough(profile_named(profile), fresh_since(read(parameters), NOW), said)
