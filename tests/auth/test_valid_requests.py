"""A request that is like one found valid before is answered as if it were the first."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.auth.oauth.loaded import GrantedUser, Loaded
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.server import check_authorization_request
from scopefold.auth.oauth.valid_requests import MOST, ValidRequests
from scopefold.auth.store.records import Client
from tests.auth.holders import some_keys

KEYS = some_keys()
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CLIENT = Client(
    "web", "Web", ("https://app.example/cb",), ("authorization_code",), ("openid", "profile"), "client_secret_basic"
)
CHALLENGE = "c" * 43
CONNECTORS = {"urn:connector:acme.wiki": "acme"}
Check = Callable[[Loaded, Mapping[str, str], GrantedUser | None], object]
GOOD = {
    "client_id": "web",
    "redirect_uri": "https://app.example/cb",
    "response_type": "code",
    "scope": "openid profile",
    "state": "s1",
    "nonce": "n1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}
USER = GrantedUser("u_1", "acme", NOW)
ODD = (
    "",
    "x",
    "%00",
    "\n",
    "plain",
    "S256",
    "code",
    "web",
    "token",
    CHALLENGE,
    "c" * 42,
    "c" * 43 + "\n",
    "é",
    "s" * 3000,
)
NAMES = (*GOOD, "resource", "prompt", "request", "request_uri", "response_mode", "dpop_jkt", "max_age")
VALUES = (None, *ODD, "none", "urn:connector:acme.wiki", "urn:connector:acme.none", "https://app.example/other")
CHANGES = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=4)


def loaded_for(client: Client | None, *, pushed: bool = False, issuer: str = "https://as.example") -> Loaded:
    return Loaded(
        issuer=issuer, keys=KEYS, client_secret_key=b"", now=NOW, client=client, connectors=CONNECTORS, pushed=pushed
    )


def outcome(check: Check, loaded: Loaded, parameters: dict[str, str], user: GrantedUser | None) -> tuple[object, ...]:
    """Is it valid, and who is told that it is not? Of several things that are wrong, Authlib tells any."""
    try:
        check(loaded, parameters, user)
    except ShownError:
        return ("shown",)
    except RedirectedError as error:
        return ("redirected", error.redirect_uri, error.state)
    return ("valid",)


def changed(changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**GOOD, **changes}.items() if value is not None}


@given(CHANGES, CHANGES, st.booleans(), st.booleans(), st.booleans())
def test_what_was_found_valid_before_changes_no_answer(
    first: dict[str, str | None], then: dict[str, str | None], lax: bool, pushed: bool, known: bool
) -> None:
    client = replace(CLIENT, require_pkce=not lax)
    valid, user = ValidRequests(), USER if known else None
    for changes in ({}, first, then, {**first, **then}):
        asked = changed(changes)
        expected = outcome(check_authorization_request, loaded_for(client, pushed=pushed), asked, user)
        assert expected == outcome(valid.check, loaded_for(client, pushed=pushed), asked, user)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_one_parameter_is_changed_to_is_judged(name: str) -> None:
    valid = ValidRequests()
    assert ("valid",) == outcome(valid.check, loaded_for(CLIENT), changed({}), None)
    for value in VALUES:
        asked = changed({name: value})
        assert outcome(check_authorization_request, loaded_for(CLIENT), asked, None) == outcome(
            valid.check, loaded_for(CLIENT), asked, None
        )


def test_a_change_of_the_client_or_of_the_connectors_is_seen_at_once() -> None:
    valid, asked = ValidRequests(), {**GOOD, "resource": "urn:connector:acme.wiki"}
    loaded = loaded_for(CLIENT)
    assert ("valid",) == outcome(valid.check, loaded, asked, None)
    moved = loaded_for(replace(CLIENT, redirect_uris=("https://app.example/new",)))
    assert "shown" == outcome(valid.check, moved, asked, None)[0]
    gone = loaded_for(CLIENT)
    gone.connectors = {}
    assert "redirected" == outcome(valid.check, gone, asked, None)[0]
    assert "shown" == outcome(valid.check, loaded_for(None), asked, None)[0]


def test_requests_are_remembered_within_bounds() -> None:
    valid = ValidRequests()
    for number in range(MOST + 10):
        valid.check(loaded_for(CLIENT), {**GOOD, "scope": f"openid x{number}"}, None)
    assert MOST == len(valid)
