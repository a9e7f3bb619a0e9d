"""The GitHub stand-in, over HTTP: commas, normalised scopes, errors with status 200, headers that tell the scopes."""

from urllib.parse import parse_qs

import pytest
from authlib.integrations.base_client import OAuthError

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, VERIFIER, Place, Walk, json_of, query_of, text_of

GITHUB = Place("github", "/login/oauth/authorize", "/login/oauth/access_token")


@pytest.fixture
async def github(walk_at: WalkAt) -> Walk:
    return await walk_at(GITHUB)


async def test_a_foreign_oauth_client_signs_in_and_calls_the_api(github: Walk) -> None:
    async with github.client(scope="user gist user:email") as client:
        address, state = client.create_authorization_url(github.url(GITHUB.authorize), code_verifier=VERIFIER)
        back = (await github.through(address)).headers["location"]
        token = await client.fetch_token(
            github.url(GITHUB.token), authorization_response=back, state=state, code_verifier=VERIFIER
        )
        assert ("user,gist", "bearer") == (token["scope"], token["token_type"])
        assert token["access_token"].startswith("gho_")
        assert not token.keys() & {"refresh_token", "expires_in"}
        who = await client.get(github.url("/user"))
        assert ("alice", "user, gist", "") == (
            who.json()["login"],
            who.headers["x-oauth-scopes"],
            who.headers["x-accepted-oauth-scopes"],
        )
        emails = await client.get(github.url("/user/emails"))
        assert "alice@sandbox.example" == emails.json()[0]["email"]
        assert "user, user:email" == emails.headers["x-accepted-oauth-scopes"]


async def test_an_unknown_client_is_not_found(github: Walk) -> None:
    answer = await github.http.get(github.authorize_address("user", client_id="nobody"))
    assert (404, True) == (answer.status_code, "not the web page you are looking for" in text_of(answer))


TOLD = [
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
    ("a path beside the callback", {"redirect_uri": "{issuer}/oauth2/callbacks"}, "redirect_uri_mismatch"),
    ("a scope of somebody else", {"scope": "user read:jira-work"}, "invalid_scope"),
    ("the implicit flow", {"response_type": "token"}, "unsupported_response_type"),
    ("plain PKCE", {"code_challenge": "c", "code_challenge_method": "plain"}, "invalid_request"),
]


@pytest.mark.parametrize(("changed", "error"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
async def test_a_bad_request_is_told_to_the_registered_callback(
    github: Walk, changed: dict[str, str], error: str
) -> None:
    issuer = github.redirect_uri.removesuffix("/oauth2/callback/github")
    filled = {name: value.replace("{issuer}", issuer) for name, value in changed.items()}
    answer = await github.http.get(github.authorize_address("user", **filled))
    assert answer.headers["location"].startswith(f"{github.redirect_uri}?")
    told = query_of(answer.headers["location"])
    assert (error, STATE) == (told["error"], told["state"])


async def test_the_redirect_uri_may_be_left_out_or_lie_below_the_callback(github: Walk) -> None:
    left_out = await github.through(github.authorize_address("user", redirect_uri=None))
    below = await github.through(github.authorize_address("user", redirect_uri=f"{github.redirect_uri}/tenant"))
    assert left_out.headers["location"].startswith(f"{github.redirect_uri}?code=")
    assert below.headers["location"].startswith(f"{github.redirect_uri}/tenant?code=")


async def test_a_user_who_declines_is_sent_back(github: Walk) -> None:
    answer = await github.through(github.authorize_address("user"), decision="cancel")
    told = query_of(answer.headers["location"])
    expected = ("access_denied", "The user has denied your application access.")
    assert expected == (told["error"], told["error_description"])


REFUSED = [
    ("a wrong secret", {"client_secret": "guess"}, "incorrect_client_credentials"),
    ("a code that never was", {"code": "guess"}, "bad_verification_code"),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "redirect_uri_mismatch"),
    ("no verifier", {}, "bad_verification_code"),
    ("a wrong verifier", {"code_verifier": "w" * 50}, "bad_verification_code"),
    ("a refresh", {"grant_type": "refresh_token"}, "unsupported_grant_type"),
]


@pytest.mark.parametrize(("body", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_bad_token_request_is_refused_with_status_200(github: Walk, body: dict[str, str], error: str) -> None:
    code = await github.code("user", code_challenge="c" * 43, code_challenge_method="S256")
    answer = json_of(await github.swap({"code": code, **body}))
    assert (error, {"error", "error_description", "error_uri"}) == (answer["error"], set(answer))


async def test_an_unknown_client_at_the_token_endpoint_is_not_found(github: Walk) -> None:
    assert 404 == (await github.swap({"code": "x", "client_id": "nobody"})).status_code


async def test_a_foreign_oauth_client_sees_the_refusal_behind_the_200(github: Walk) -> None:
    async with github.client(scope="user") as client:
        with pytest.raises(OAuthError, match="bad_verification_code"):
            await client.fetch_token(github.url(GITHUB.token), code="guess")


async def test_the_answer_is_a_form_unless_json_is_asked_for(github: Walk) -> None:
    body = {"client_id": GITHUB.client_id, "client_secret": GITHUB.secret, "code": await github.code("repo gist")}
    answer = await github.http.post("/github/login/oauth/access_token", data=body)
    assert answer.headers["content-type"].startswith("application/x-www-form-urlencoded")
    found = parse_qs(answer.text)
    assert (["repo,gist"], ["bearer"]) == (found["scope"], found["token_type"])


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("user gist user:email", "user,gist"),
        ("repo,gist", "repo,gist"),
        ("public_repo repo repo:status", "repo"),
        ("read:org admin:org", "admin:org"),
        ("read:user user:email", "read:user,user:email"),
        ("write:packages read:packages", "write:packages,read:packages"),
    ],
)
async def test_implied_scopes_are_left_out_of_the_answer(github: Walk, asked: str, answered: str) -> None:
    assert answered == (await github.tokens(asked))["scope"]


async def test_without_a_scope_all_that_was_ever_authorised_comes_back_silently(github: Walk) -> None:
    assert "" == (await github.tokens(""))["scope"]
    await github.tokens("gist")
    assert "read:org" == (await github.tokens("read:org"))["scope"]
    answer = await github.log_in(github.authorize_address(""))
    assert 303 == answer.status_code
    code = query_of(answer.headers["location"])["code"]
    assert "gist,read:org" == json_of(await github.swap({"code": code}))["scope"]


async def test_an_api_call_without_its_scope_is_not_found_and_names_what_it_accepts(github: Walk) -> None:
    token = (await github.tokens("gist"))["access_token"]
    answer = await github.api("GET", "/user/emails", token)
    assert (404, "gist", "user, user:email") == (
        answer.status_code,
        answer.headers["x-oauth-scopes"],
        answer.headers["x-accepted-oauth-scopes"],
    )
    assert "Bad credentials" == (await github.api("GET", "/user", "guess")).json()["message"]
    assert "Requires authentication" == (await github.http.get("/github/user")).json()["message"]


@pytest.mark.parametrize("what", ["token", "grant"])
async def test_the_app_can_end_a_token_or_the_whole_grant(github: Walk, what: str) -> None:
    one, other = [(await github.tokens("gist"))["access_token"] for _ in range(2)]
    address = f"/github/applications/{GITHUB.client_id}/{what}"
    stranger = await github.http.request("DELETE", address, json={"access_token": one}, auth=("nobody", "guess"))
    mine = (GITHUB.client_id, GITHUB.secret)
    answer = await github.http.request("DELETE", address, json={"access_token": one}, auth=mine)
    assert (404, 204, b"") == (stranger.status_code, answer.status_code, answer.content)
    after = [(await github.api("GET", "/user", token)).status_code for token in (one, other)]
    assert [401, 401 if what == "grant" else 200] == after


async def test_the_switches_hold(github: Walk) -> None:
    await github.set("switches", echo_scope=False, unknown_scope="dropped", users_may_untick=True)
    token = await github.tokens("gist repo read:jira-work", untick=["repo"])
    assert "scope" not in token
    assert "gist" == (await github.api("GET", "/user", token["access_token"])).headers["x-oauth-scopes"]
    await github.set("switches", email_verified=False)
    answer = json_of(await github.swap({"code": await github.code("gist")}))
    assert "unverified_user_email" == answer["error"]
