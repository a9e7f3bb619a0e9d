"""The Slack stand-in, over HTTP: two lists of scopes, two tokens, refusals with status 200."""

import pytest
from authlib.integrations.base_client import OAuthError

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, Place, Walk, json_of, query_of, text_of

SLACK = Place("slack", "/oauth/v2/authorize", "/api/oauth.v2.access", params={"user_scope": "identity.basic"})


@pytest.fixture
async def slack(walk_at: WalkAt) -> Walk:
    return await walk_at(SLACK)


async def test_a_foreign_oauth_client_installs_and_calls_the_api(slack: Walk) -> None:
    async with slack.client(scope="chat:write,commands") as client:
        address, state = client.create_authorization_url(
            slack.url(SLACK.authorize), user_scope="identity.basic,identity.email"
        )
        back = (await slack.through(address)).headers["location"]
        token = await client.fetch_token(slack.url(SLACK.token), authorization_response=back, state=state)
        assert (True, "bot", "chat:write,commands") == (token["ok"], token["token_type"], token["scope"])
        assert token["access_token"].startswith("xoxb-")
        user = token["authed_user"]
        assert ("user", "identity.basic,identity.email") == (user["token_type"], user["scope"])
        assert user["access_token"].startswith("xoxp-")
        assert not token.keys() & {"refresh_token", "expires_in"}
    # Authlib knows no token_type but bearer; Slack's apps call with its own client.
    tested = await slack.api("POST", "/api/auth.test", token["access_token"])
    assert ("bot", "chat:write,commands") == (tested.json()["user"], tested.headers["x-oauth-scopes"])
    who = json_of(await slack.api("GET", "/api/users.identity", user["access_token"]))
    assert ("alice@sandbox.example", user["id"]) == (who["user"]["email"], who["user"]["id"])


ON_THE_PAGE = [
    ("an unknown client", {"client_id": "nobody"}, "Invalid client_id parameter"),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "did not match any configured URIs"),
    ("no scope at all", {"scope": None, "user_scope": None}, "no_scopes"),
    ("a bot scope that the app lacks", {"scope": "admin"}, "invalid_scope"),
    ("a user scope that the app lacks", {"user_scope": "admin"}, "invalid_scope"),
    ("sign-in scopes", {"user_scope": "openid,profile"}, "invalid_scope"),
]


@pytest.mark.parametrize(("changed", "words"), [row[1:] for row in ON_THE_PAGE], ids=[row[0] for row in ON_THE_PAGE])
async def test_a_bad_request_ends_on_slacks_page(slack: Walk, changed: dict[str, str | None], words: str) -> None:
    answer = await slack.http.get(slack.authorize_address("commands", **changed))
    assert (400, True) == (answer.status_code, f"Error details: {words}" in text_of(answer) or words in text_of(answer))
    assert "location" not in answer.headers


async def test_a_user_who_declines_is_sent_back(slack: Walk) -> None:
    told = query_of((await slack.through(slack.authorize_address("commands"), decision="cancel")).headers["location"])
    assert {"error": "access_denied", "state": STATE} == told


REFUSED = [
    ("a wrong secret", {"client_secret": "guess"}, "bad_client_secret"),
    ("an unknown client", {"client_id": "nobody"}, "invalid_client_id"),
    ("a code that never was", {"code": "guess"}, "invalid_code"),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "bad_redirect_uri"),
    ("a dead refresh token", {"grant_type": "refresh_token", "refresh_token": "guess"}, "invalid_refresh_token"),
    ("another grant", {"grant_type": "password"}, "invalid_grant_type"),
]


@pytest.mark.parametrize(("body", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_bad_token_request_is_refused_with_status_200(slack: Walk, body: dict[str, str], error: str) -> None:
    answer = await slack.swap({"code": await slack.code("commands"), **body})
    assert (200, {"ok": False, "error": error}) == (answer.status_code, answer.json())


async def test_a_code_serves_once(slack: Walk) -> None:
    code = await slack.code("commands")
    assert json_of(await slack.swap({"code": code}))["ok"]
    assert "code_already_used" == json_of(await slack.swap({"code": code}))["error"]


async def test_a_foreign_oauth_client_sees_the_refusal_behind_the_200(slack: Walk) -> None:
    async with slack.client(scope="commands") as client:
        with pytest.raises(OAuthError, match="invalid_code"):
            await client.fetch_token(slack.url(SLACK.token), code="guess")


async def test_only_user_scopes_give_no_bot_and_only_bot_scopes_no_users_token(slack: Walk) -> None:
    user_only = json_of(await slack.swap({"code": await slack.code("")}))
    assert "access_token" not in user_only
    assert "access_token" in user_only["authed_user"]
    bot_only = json_of(await slack.swap({"code": await slack.code("commands", user_scope=None)}))
    assert {"id"} == set(bot_only["authed_user"])
    assert "access_token" in bot_only


async def test_the_bots_scopes_add_up_over_installs_of_all_users(slack: Walk) -> None:
    await slack.tokens("commands", "alice")
    assert "commands,chat:write" == (await slack.tokens("chat:write", "bob"))["scope"]
    await slack.set("switches", bot_scopes_add_up=False)
    assert "files:read" == (await slack.tokens("files:read", "carol"))["scope"]


async def test_optional_scopes_may_be_declined(slack: Walk) -> None:
    await slack.set("switches", optional_scopes=["files:read"])
    token = await slack.tokens("commands,files:read", untick=["files:read", "commands"])
    assert "commands" == token["scope"]


async def test_an_api_call_without_its_scope_names_what_it_needs(slack: Walk) -> None:
    token = await slack.tokens("commands", user_scope="search:read")
    answer = json_of(await slack.api("POST", "/api/users.identity", token["authed_user"]["access_token"]))
    expected = {"ok": False, "error": "missing_scope", "needed": "identity.basic", "provided": "search:read"}
    assert expected == answer


async def test_a_token_that_does_not_serve_is_told_why(slack: Walk) -> None:
    async def error(token: str) -> str | None:
        return json_of(await slack.api("POST", "/api/auth.test", token)).get("error")

    token = (await slack.tokens("commands", user_scope="search:read"))["authed_user"]["access_token"]
    assert [None, "invalid_auth"] == [await error(token), await error("guess")]
    assert "not_authed" == json_of(await slack.http.post("/slack/api/auth.test"))["error"]
    await slack.revoke("alice")
    assert "token_revoked" == await error(token)


async def test_with_rotation_tokens_end_and_refresh_tokens_serve_once(slack: Walk) -> None:
    await slack.set("switches", token_rotation=True)
    token = await slack.tokens("commands")
    for one in (token, token["authed_user"]):
        assert (43200, "xoxe.xox") == (one["expires_in"], one["access_token"][:8])
        renewed = json_of(await slack.renewed(one["refresh_token"]))
        assert (one["token_type"], one["scope"]) == (renewed["token_type"], renewed["scope"])
        assert "invalid_refresh_token" == json_of(await slack.renewed(one["refresh_token"]))["error"]
        assert json_of(await slack.renewed(renewed["refresh_token"]))["ok"]
