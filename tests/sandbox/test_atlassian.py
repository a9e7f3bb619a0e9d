"""The Atlassian stand-in, over HTTP: what works, and what is refused how."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from authlib.integrations.base_client import OAuthError

from tests.sandbox.visitor import CLIENT_ID, VERIFIER, Visitor, query_of, transaction_in

APP = f"/atlassian/console/apps/{CLIENT_ID}"
SITE_ID = "5ca1ab1e-0000-4000-8000-00000000517e"
MYSELF = f"/ex/jira/{SITE_ID}/rest/api/3/myself"
CONTENT = f"/ex/confluence/{SITE_ID}/wiki/rest/api/content"


async def test_a_foreign_oauth_client_signs_in_calls_the_api_and_refreshes(visitor: Visitor) -> None:
    scope = "read:me read:jira-user offline_access"
    async with visitor.client(scope=scope) as client:
        address, state = client.create_authorization_url(
            f"{visitor.base}/atlassian/authorize",
            audience="api.atlassian.com",
            prompt="consent",
            code_verifier=VERIFIER,
        )
        answer = await visitor.decide(await visitor.log_in(address))
        assert answer.headers["location"].startswith(f"{visitor.redirect_uri}?code=")
        endpoint = f"{visitor.base}/atlassian/oauth/token"
        token = await client.fetch_token(
            endpoint, authorization_response=answer.headers["location"], state=state, code_verifier=VERIFIER
        )
        assert (token["scope"], token["expires_in"], token["token_type"]) == ("read:me read:jira-user", 3600, "Bearer")
        me = (await client.get(f"{visitor.base}/atlassian/me")).json()
        assert (me["email"], me["account_status"]) == ("alice@sandbox.example", "active")
        myself = (await client.get(f"{visitor.base}/atlassian{MYSELF}")).json()
        assert me["account_id"] == myself["accountId"]
        renewed = await client.refresh_token(endpoint, refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        assert (await client.get(f"{visitor.base}/atlassian/me")).status_code == 200


ERROR = "/atlassian/error"
NO_AUDIENCE = {
    "error": "server_error",
    "error_description": "There seems to be an issue with your identity provider",
}
INCORRECT = {"error": "invalid_request", "error_description": "Incorrect request parameters"}
NOT_REGISTERED = {"error": "unauthorized_client"}
NOTHING_HERE = "There&#39;s nothing here"
NOT_ADDED = (
    "This app has requested Jira API scopes that have not been added to the app. Configure the app at "
    "https://developer.atlassian.com/apps and add the following scopes to the Jira API: read:sprint:jira-software."
)
OTHER_CASE = "{issuer}/OAuth2/callback"
OTHER_CASE_TOLD = {
    "error": "unauthorized_client",
    "error_description": f"redirect_uri is not registered for client: {OTHER_CASE}",
}
PLAIN = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}
AUTHORIZE_REFUSALS: list[tuple[str, str, Mapping[str, str | None], dict[str, str] | str]] = [
    ("an unknown client", "read:me", {"client_id": "nobody"}, "failed to retrieve client"),
    ("no audience", "read:me", {"audience": None}, NO_AUDIENCE),
    ("another audience", "read:me", {"audience": "api.example"}, NO_AUDIENCE),
    ("openid", "openid read:me", {}, NOTHING_HERE),
    ("profile", "profile read:me", {}, NOTHING_HERE),
    ("email", "email read:me", {}, NOTHING_HERE),
    ("a scope that the app lacks", "read:me read:sprint:jira-software", {}, NOT_ADDED),
    ("a scope that nobody knows", "read:me read:opsgenie", {}, "scopes that have not been added to the app"),
    ("a path's case", "read:me", {"redirect_uri": OTHER_CASE}, OTHER_CASE_TOLD),
    ("an added query", "read:me", {"redirect_uri": "{issuer}/oauth2/callback?a=1"}, NOT_REGISTERED),
    ("no redirect_uri", "read:me", {"redirect_uri": None}, NOT_REGISTERED),
    ("no state", "read:me", {"state": None}, INCORRECT),
    ("no scope", "read:me", {"scope": None}, INCORRECT),
    ("no prompt", "read:me", {"prompt": None}, INCORRECT),
    ("the implicit flow", "read:me", {"response_type": "token"}, INCORRECT),
    ("plain PKCE", "read:me", PLAIN, INCORRECT),
]


@pytest.mark.parametrize(
    ("scope", "changed", "shown"), [row[1:] for row in AUTHORIZE_REFUSALS], ids=[row[0] for row in AUTHORIZE_REFUSALS]
)
async def test_a_bad_authorize_request_is_refused_after_the_login_and_never_reaches_the_client(
    visitor: Visitor, scope: str, changed: Mapping[str, str | None], shown: dict[str, str] | str
) -> None:
    issuer = visitor.redirect_uri.removesuffix("/oauth2/callback/atlassian")
    filled = {name: value and value.replace("{issuer}", issuer) for name, value in changed.items()}
    answer = await visitor.log_in(visitor.authorize_address(scope, **filled))
    if isinstance(shown, str):
        assert answer.status_code == 400
        assert "location" not in answer.headers
    else:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{ERROR}?")
        told = query_of(answer.headers["location"])
        expected = {name: value.replace("{issuer}", issuer) for name, value in shown.items()}
        assert expected == {name: told[name] for name in shown}
        answer = await visitor.http.get(answer.headers["location"])
        assert answer.status_code == 400
        shown = expected["error"]
    assert shown in answer.text


async def test_a_parameter_given_twice_is_refused(visitor: Visitor) -> None:
    answer = await visitor.log_in(f"{visitor.authorize_address('read:me')}&scope=read:jira-work")
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


async def test_a_user_who_cancels_is_sent_back_with_access_denied(visitor: Visitor) -> None:
    consent = await visitor.log_in(visitor.authorize_address("read:me"))
    answer = await visitor.decide(consent, "cancel")
    expected = {
        "error": "access_denied",
        "error_description": "User did not authorize the request",
        "state": "the-state",
    }
    assert expected == query_of(answer.headers["location"])
    assert answer.headers["location"].startswith(f"{visitor.redirect_uri}?")


async def test_the_consent_page_names_every_scope_in_words_and_verbatim(visitor: Visitor) -> None:
    scope = "read:me read:jira-work read:ops-alert:jira-service-management offline_access"
    page = (await visitor.log_in(visitor.authorize_address(scope), "bob")).text
    for shown in ("Scopefold Sandbox App", "Bob Brandt", "View projects and issues in Jira", SITE_ID, *scope.split()):
        assert shown in page


@pytest.mark.parametrize("step", ["login", "consent"])
async def test_a_form_serves_once_and_only_in_the_browser_that_began(visitor: Visitor, step: str) -> None:
    other = Visitor(visitor.base, visitor.redirect_uri)
    page = await visitor.http.get(visitor.authorize_address("read:me"))
    fields = {"transaction": transaction_in(page), "user": "alice"}
    if step == "consent":
        page = await visitor.http.post("/atlassian/login", data=fields)
        fields = {"transaction": transaction_in(page), "decision": "accept"}
    async with other.http:
        await other.http.get(other.authorize_address("read:me"))
        stolen = await other.http.post(f"/atlassian/{step}", data=fields)
    first = await visitor.http.post(f"/atlassian/{step}", data=fields)
    again = await visitor.http.post(f"/atlassian/{step}", data=fields)
    assert first.status_code == (200 if step == "login" else 303)
    assert "error" not in first.headers.get("location", "")
    for refused in (stolen, again):
        told = query_of(refused.headers["location"])
        assert (told["error"], told["error_description"]) == ("invalid_request", "Incorrect request parameters")


async def test_an_unexpected_account_or_decision_gives_no_code(visitor: Visitor) -> None:
    refused = await visitor.log_in(visitor.authorize_address("read:me"), "mallory")
    assert query_of(refused.headers["location"])["error"] == "invalid_request"
    consent = await visitor.log_in(visitor.authorize_address("read:me"))
    assert (await visitor.decide(consent, "perhaps")).status_code == 400


async def test_a_site_that_is_not_the_users_gives_no_code(visitor: Visitor) -> None:
    consent = await visitor.log_in(visitor.authorize_address("read:jira-work"))
    fields = {"transaction": transaction_in(consent), "decision": "accept", "site": "another-site"}
    answer = await visitor.http.post("/atlassian/consent", data=fields)
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


UNAUTHORIZED = (401, "access_denied", "Unauthorized")
BAD_CODE = (403, "invalid_grant", "Invalid authorization code")
OTHER_GRANT = (400, "unsupported_grant_type", "Use authorization_code or refresh_token")
BAD_VERIFIER = (403, "invalid_grant", "Failed to verify code verifier")
DEAD = (403, "unauthorized_client", "refresh_token is invalid")
CODE = {"grant_type": "authorization_code"}
TOKEN_REFUSALS = [
    ("a wrong secret", {**CODE, "client_secret": "guess"}, UNAUTHORIZED),
    ("a secret that is no text", {**CODE, "client_secret": 7}, UNAUTHORIZED),
    ("an unknown client", {**CODE, "client_id": "nobody"}, UNAUTHORIZED),
    ("a code that never was", {**CODE, "code": "guess"}, BAD_CODE),
    ("no code", {**CODE, "code": ""}, BAD_CODE),
    ("another redirect_uri", {**CODE, "redirect_uri": "http://127.0.0.1:1/other"}, BAD_CODE),
    ("no verifier", {**CODE}, BAD_VERIFIER),
    ("a wrong verifier", {**CODE, "code_verifier": "w" * 50}, BAD_VERIFIER),
    ("a refresh token that never was", {"grant_type": "refresh_token", "refresh_token": "guess"}, DEAD),
    ("no refresh token", {"grant_type": "refresh_token"}, DEAD),
    ("another grant", {"grant_type": "password"}, OTHER_GRANT),
]


@pytest.mark.parametrize(
    ("changed", "refusal"), [row[1:] for row in TOKEN_REFUSALS], ids=[row[0] for row in TOKEN_REFUSALS]
)
async def test_a_bad_token_request_is_refused_as_atlassian_does(
    visitor: Visitor, changed: dict[str, Any], refusal: tuple[int, str, str]
) -> None:
    challenge = "XuuQzk4ekK2TC8SWbNF5k9nEFg0-_nC7VjI6z6SAkiA"  # some challenge; none of the rows has its verifier
    code = await visitor.code("read:me", code_challenge=challenge, code_challenge_method="S256")
    answer = await visitor.swap({"code": code, **changed})
    status, error, description = refusal
    assert (status, {"error": error, "error_description": description}) == (answer.status_code, answer.json())
    assert answer.headers["cache-control"] == "no-store"


async def test_a_code_serves_once(visitor: Visitor) -> None:
    code = await visitor.code("read:me")
    assert (await visitor.swap({**CODE, "code": code})).status_code == 200
    assert (await visitor.swap({**CODE, "code": code})).status_code == 403


async def test_credentials_in_a_header_are_not_taken(visitor: Visitor) -> None:
    async with visitor.client(scope="read:me") as client:
        client.token_endpoint_auth_method = "client_secret_basic"
        with pytest.raises(OAuthError, match="access_denied"):
            await client.fetch_token(f"{visitor.base}/atlassian/oauth/token", code=await visitor.code("read:me"))


async def test_there_is_a_refresh_token_only_with_offline_access(visitor: Visitor) -> None:
    assert "refresh_token" not in await visitor.tokens("read:me")
    assert "refresh_token" in await visitor.tokens("read:me offline_access")


async def test_a_new_grant_replaces_the_scopes_of_the_one_before(visitor: Visitor) -> None:
    wide = await visitor.tokens("read:me read:jira-user offline_access", "carol")
    await visitor.tokens("read:jira-user", "carol")
    assert (await visitor.api("GET", "/me", wide["access_token"])).status_code == 401
    renewed = await visitor.swap({"grant_type": "refresh_token", "refresh_token": wide["refresh_token"]})
    assert renewed.json()["scope"] == "read:jira-user"


async def test_an_older_refresh_token_used_again_kills_its_family(visitor: Visitor) -> None:
    async def use(token: str) -> Any:
        return (await visitor.swap({"grant_type": "refresh_token", "refresh_token": token})).json()

    first = (await visitor.tokens("read:me offline_access"))["refresh_token"]
    second = (await use(first))["refresh_token"]
    again = (await use(first))["refresh_token"]  # within the leeway, the token used last may be exchanged again
    third = (await use(second))["refresh_token"]
    assert len({first, second, again, third}) == 4
    expected = {"error": "unauthorized_client", "error_description": "refresh_token is invalid"}
    assert [expected, expected] == [await use(first), await use(third)]


API_CALLS = [
    ("me", "GET", "/me", "read:me"),
    ("Jira's myself", "GET", MYSELF, "read:jira-user"),
    ("Confluence's content", "POST", CONTENT, "write:confluence-content"),
]


@pytest.mark.parametrize(("method", "path", "scope"), [row[1:] for row in API_CALLS], ids=[row[0] for row in API_CALLS])
async def test_an_api_call_needs_its_scope(visitor: Visitor, method: str, path: str, scope: str) -> None:
    with_it = await visitor.tokens(f"{scope} read:jira-work", "dave")
    body = {"json": {"title": "Notes", "type": "page"}} if method == "POST" else {}
    assert (await visitor.api(method, path, with_it["access_token"], **body)).status_code == 200
    without = await visitor.tokens("read:jira-work", "dave")
    answer = await visitor.api(method, path, without["access_token"], **body)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Unauthorized; scope does not match"})
    answer = await visitor.api(method, path, "guess", **body)
    assert (answer.status_code, answer.json()) == (401, {"code": 401, "message": "Unauthorized"})


async def test_the_site_stands_once_for_each_product_with_its_own_scopes(visitor: Visitor) -> None:
    scope = "read:me read:jira-work read:servicedesk-request search:confluence offline_access"
    token = (await visitor.tokens(scope))["access_token"]
    found = (await visitor.api("GET", "/oauth/token/accessible-resources", token)).json()
    expected = [(SITE_ID, ["read:jira-work", "read:servicedesk-request"]), (SITE_ID, ["search:confluence"])]
    assert expected == [(one["id"], one["scopes"]) for one in found]
    token = (await visitor.tokens("read:me"))["access_token"]
    assert (await visitor.api("GET", "/oauth/token/accessible-resources", token)).json() == []


async def test_another_site_is_not_found(visitor: Visitor) -> None:
    token = (await visitor.tokens("read:jira-user"))["access_token"]
    assert (await visitor.api("GET", "/ex/jira/other/rest/api/3/myself", token)).status_code == 404


@pytest.fixture
async def app(visitor: Visitor) -> AsyncIterator[dict[str, Any]]:
    """The preset app as the console shows it, put back afterwards."""
    before = (await visitor.http.get(APP)).json()
    del before["client_id"]
    yield before
    await visitor.http.put(APP, json=before)


async def test_the_console_changes_what_an_app_may_ask(visitor: Visitor, app: dict[str, Any]) -> None:
    added = [*app["permitted_scopes"], "read:sprint:jira-software"]
    answer = await visitor.http.put(APP, json={**app, "name": "Renamed", "permitted_scopes": added})
    assert (answer.status_code, answer.json()["name"]) == (200, "Renamed")
    assert (await visitor.log_in(visitor.authorize_address("read:sprint:jira-software"))).status_code == 200
    await visitor.http.put(APP, json={**app, "callbacks": ["http://localhost/elsewhere"]})
    refused = await visitor.log_in(visitor.authorize_address("read:me"))
    assert query_of(refused.headers["location"])["error"] == "unauthorized_client"


async def test_the_console_shows_no_secret_and_knows_no_other_app(visitor: Visitor) -> None:
    assert "secret" not in (await visitor.http.get(APP)).text
    assert (await visitor.http.get("/atlassian/console/apps/nobody")).status_code == 404


async def test_offline_access_is_echoed_when_the_switch_says_so(visitor: Visitor) -> None:
    switches = "/atlassian/console/switches"
    assert (await visitor.tokens("read:me offline_access"))["scope"] == "read:me"
    await visitor.http.put(switches, json={"echo_offline_access": True})
    try:
        assert (await visitor.tokens("read:me offline_access"))["scope"] == "read:me offline_access"
    finally:
        await visitor.http.put(switches, json={"echo_offline_access": False})


async def test_a_revoked_grant_is_dead_and_stays_dead_after_a_new_one(visitor: Visitor) -> None:
    tokens = await visitor.tokens("read:me offline_access", "bob")
    wanted = {"user": "bob", "client_id": CLIENT_ID}
    assert (await visitor.http.post("/atlassian/console/revoke", json=wanted)).json() == {"revoked": True}
    assert (await visitor.http.post("/atlassian/console/revoke", json=wanted)).json() == {"revoked": False}
    await visitor.tokens("read:me offline_access", "bob")
    assert (await visitor.api("GET", "/me", tokens["access_token"])).status_code == 401
    renewed = await visitor.swap({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert renewed.status_code == 403


@pytest.mark.parametrize("path", ["/", "/playground", "/atlassian/authorize", "/atlassian/error", "/healthz", "/none"])
async def test_every_answer_carries_the_strict_headers(visitor: Visitor, path: str) -> None:
    headers = (await visitor.http.get(path)).headers
    assert (
        (headers["content-security-policy"])
        == "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    assert (headers["referrer-policy"], headers["cache-control"]) == ("no-referrer", "no-store")


async def test_what_a_request_says_is_shown_as_text(visitor: Visitor) -> None:
    answer = await visitor.http.get("/atlassian/error", params={"error_description": "<script>alert(1)</script>"})
    assert "&lt;script&gt;" in answer.text
    assert "<script>" not in answer.text
