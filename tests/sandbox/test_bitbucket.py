"""The Bitbucket stand-in, over HTTP: its own words for scopes, its consumers' ticks, its two lifetimes."""

import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, VERIFIER, Place, Walk, query_of, text_of

BITBUCKET = Place("bitbucket", "/site/oauth2/authorize", "/site/oauth2/access_token", "client_secret_basic")
TICKED = (
    "account account:write email issue issue:write pipeline pipeline:variable pipeline:write project pullrequest "
    "pullrequest:write repository repository:write runner runner:write snippet snippet:write webhook wiki"
)


@pytest.fixture
async def bitbucket(walk_at: WalkAt) -> Walk:
    return await walk_at(BITBUCKET)


async def test_a_foreign_oauth_client_signs_in_calls_the_api_and_refreshes(bitbucket: Walk) -> None:
    async with bitbucket.client(scope="account email pullrequest") as client:
        address, state = client.create_authorization_url(bitbucket.url(BITBUCKET.authorize), code_verifier=VERIFIER)
        back = (await bitbucket.through(address)).headers["location"]
        endpoint = bitbucket.url(BITBUCKET.token)
        token = await client.fetch_token(
            endpoint, authorization_response=back, state=state, code_verifier=VERIFIER, redirect_uri=None
        )
        expected = ("account email pullrequest", 7200, "bearer", "authorization_code")
        assert expected == (token["scopes"], token["expires_in"], token["token_type"], token["state"])
        assert "scope" not in token
        assert "alice" == (await client.get(bitbucket.url("/2.0/user"))).json()["username"]
        emails = (await client.get(bitbucket.url("/2.0/user/emails"))).json()
        assert "alice@sandbox.example" == emails["values"][0]["email"]
        # pullrequest brings repository with it
        assert 200 == (await client.get(bitbucket.url("/2.0/repositories/sandbox"))).status_code
        first = token["refresh_token"]
        renewed = await client.refresh_token(endpoint, refresh_token=first)
        assert (first, "refresh_token") == (renewed["refresh_token"], renewed["state"])


ON_THE_PAGE = [
    ("an unknown consumer", {"client_id": "nobody"}, "Invalid client_id."),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "Invalid redirect_uri."),
]


@pytest.mark.parametrize(("changed", "words"), [row[1:] for row in ON_THE_PAGE], ids=[row[0] for row in ON_THE_PAGE])
async def test_a_request_of_nobody_or_to_nowhere_is_shown(bitbucket: Walk, changed: dict[str, str], words: str) -> None:
    answer = await bitbucket.log_in(bitbucket.authorize_address("account", **changed))
    expected = f"{words} This integration is misconfigured. Contact the vendor for assistance."
    assert (400, True) == (answer.status_code, expected in text_of(answer))


TOLD = [
    ("the implicit flow", {"response_type": "token"}, "unsupported_response_type"),
    ("a scope that the consumer lacks", {"scope": "account repository:admin"}, "invalid_scope"),
    ("a scope of Atlassian's", {"scope": "read:jira-work"}, "invalid_scope"),
]


@pytest.mark.parametrize(("changed", "error"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
async def test_another_bad_request_is_told_to_the_client(bitbucket: Walk, changed: dict[str, str], error: str) -> None:
    told = query_of((await bitbucket.log_in(bitbucket.authorize_address("account", **changed))).headers["location"])
    assert (error, STATE) == (told["error"], told["state"])


async def test_a_user_who_declines_is_sent_back(bitbucket: Walk) -> None:
    answer = await bitbucket.through(bitbucket.authorize_address("account"), decision="cancel")
    assert "access_denied" == query_of(answer.headers["location"])["error"]


async def test_the_redirect_uri_may_be_left_out_or_begin_with_the_callback(bitbucket: Walk) -> None:
    left_out = await bitbucket.through(bitbucket.authorize_address("account", redirect_uri=None))
    longer = await bitbucket.through(bitbucket.authorize_address("account", redirect_uri=f"{bitbucket.redirect_uri}/x"))
    assert left_out.headers["location"].startswith(f"{bitbucket.redirect_uri}?code=")
    assert longer.headers["location"].startswith(f"{bitbucket.redirect_uri}/x?code=")


CODE = {"grant_type": "authorization_code"}
REFUSED = [
    ("a wrong secret", {**CODE, "client_secret": "guess"}, "unauthorized_client"),
    ("an unknown consumer", {**CODE, "client_id": "nobody"}, "unauthorized_client"),
    ("a code that never was", {**CODE, "code": "guess"}, "invalid_grant"),
    ("another redirect_uri", {**CODE, "redirect_uri": "https://evil.example/"}, "invalid_grant"),
    ("a dead refresh token", {"grant_type": "refresh_token", "refresh_token": "guess"}, "invalid_grant"),
    ("a password", {"grant_type": "password"}, "unsupported_grant_type"),
]


@pytest.mark.parametrize(("body", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_bad_token_request_is_refused(bitbucket: Walk, body: dict[str, str], error: str) -> None:
    answer = await bitbucket.swap({"code": await bitbucket.code("account"), **body})
    assert (400, error) == (answer.status_code, answer.json()["error"])


async def test_credentials_in_the_body_are_not_taken(bitbucket: Walk) -> None:
    body = {**CODE, "client_id": BITBUCKET.client_id, "client_secret": BITBUCKET.secret, "code": "x"}
    answer = await bitbucket.http.post("/bitbucket/site/oauth2/access_token", data=body)
    assert "Client credentials missing" in answer.json()["error_description"]


async def test_a_code_serves_once(bitbucket: Walk) -> None:
    code = await bitbucket.code("account")
    assert [200, 400] == [(await bitbucket.swap({**CODE, "code": code})).status_code for _ in range(2)]


async def test_without_a_scope_all_ticks_are_granted(bitbucket: Walk) -> None:
    assert TICKED == (await bitbucket.tokens(""))["scopes"]


async def test_an_api_call_without_its_scope_is_told_both_sets(bitbucket: Walk) -> None:
    token = (await bitbucket.tokens("snippet"))["access_token"]
    answer = await bitbucket.api("GET", "/2.0/user", token)
    error = {
        "message": "Your credentials lack one or more required privilege scopes.",
        "detail": {"required": ["account"], "granted": ["snippet"]},
    }
    assert (403, {"type": "error", "error": error}) == (answer.status_code, answer.json())
    assert 401 == (await bitbucket.api("GET", "/2.0/user", "guess")).status_code


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("repository", 200),
        ("project", 200),
        ("repository:write", 200),
        ("pullrequest:write", 200),
        ("issue:write", 403),
        ("wiki", 403),
        ("webhook", 403),
        ("account", 403),
    ],
)
async def test_a_scope_brings_those_that_the_table_says(bitbucket: Walk, scope: str, status: int) -> None:
    token = (await bitbucket.tokens(scope))["access_token"]
    assert status == (await bitbucket.api("GET", "/2.0/repositories/sandbox", token)).status_code


async def test_the_switches_hold(bitbucket: Walk) -> None:
    await bitbucket.set("switches", scope_parameter="ignored", lifetime=3600)
    token = await bitbucket.tokens("account")
    assert (TICKED, 3600) == (token["scopes"], token["expires_in"])
    await bitbucket.set("switches", beyond_the_ticks="reduced")
    assert "account" == (await bitbucket.tokens("account repository:admin"))["scopes"]
    challenged = {"code_challenge": "c" * 43, "code_challenge_method": "S256"}
    assert 200 == (await bitbucket.swap({**CODE, "code": await bitbucket.code("account", **challenged)})).status_code
    await bitbucket.set("switches", pkce="checked")
    assert 400 == (await bitbucket.swap({**CODE, "code": await bitbucket.code("account", **challenged)})).status_code
