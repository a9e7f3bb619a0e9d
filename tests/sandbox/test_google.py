"""The Google stand-in, over HTTP: tick boxes, aliases, refresh tokens that seldom come, errors on Google's own page."""

import pytest
from authlib.integrations.base_client import OAuthError

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, VERIFIER, Place, Walk, json_of, query_of, text_of

GOOGLE = Place("google", "/o/oauth2/v2/auth", "/token", params={"access_type": "offline"})
AUTH = "https://www.googleapis.com/auth/"
GMAIL, DRIVE, CALENDAR = f"{AUTH}gmail.readonly", f"{AUTH}drive.readonly", f"{AUTH}calendar"
EMAIL, PROFILE = f"{AUTH}userinfo.email", f"{AUTH}userinfo.profile"
SIGN_IN = f"{EMAIL} openid {PROFILE}"


@pytest.fixture
async def google(walk_at: WalkAt) -> Walk:
    return await walk_at(GOOGLE)


async def test_a_foreign_oauth_client_signs_in_calls_the_api_refreshes_and_revokes(google: Walk) -> None:
    said = json_of(await google.http.get("/google/.well-known/openid-configuration"))
    async with google.client(scope=f"email profile {GMAIL}") as client:
        address, state = client.create_authorization_url(
            said["authorization_endpoint"], code_verifier=VERIFIER, access_type="offline", prompt="consent"
        )
        back = (await google.through(address)).headers["location"]
        token = await client.fetch_token(
            said["token_endpoint"], authorization_response=back, state=state, code_verifier=VERIFIER
        )
        assert (f"{SIGN_IN} {GMAIL}", 3599, "Bearer") == (token["scope"], token["expires_in"], token["token_type"])
        assert token["id_token"].count(".") == 2
        who = (await client.get(said["userinfo_endpoint"])).json()
        assert ("alice@sandbox.example", True) == (who["email"], who["email_verified"])
        mailbox = (await client.get(google.url("/gmail/v1/users/me/profile"))).json()
        assert "alice@sandbox.example" == mailbox["emailAddress"]
        first = token["refresh_token"]
        renewed = await client.refresh_token(said["token_endpoint"], refresh_token=first)
        assert first == renewed["refresh_token"]  # Authlib keeps the old one: Google's answer has none
        assert {"refresh_token"} == token.keys() - json_of(await google.renewed(first)).keys() - {"expires_at"}
        assert 200 == (await client.post(said["revocation_endpoint"], params={"token": first})).status_code
        with pytest.raises(OAuthError, match="Token has been expired or revoked"):
            await client.refresh_token(said["token_endpoint"], refresh_token=first)
        assert 401 == (await client.get(said["userinfo_endpoint"])).status_code


ON_THE_PAGE = [
    ("an unknown client", {"client_id": "nobody"}, "Error 401: invalid_client"),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "Error 400: redirect_uri_mismatch"),
    ("no redirect_uri", {"redirect_uri": None}, "Missing required parameter: redirect_uri"),
    ("no response_type", {"response_type": None}, "Missing required parameter: response_type"),
    ("the implicit flow", {"response_type": "token"}, "Error 400: unsupported_response_type"),
    ("no scope", {"scope": None}, "Missing required parameter: scope"),
    ("a scope of somebody else", {"scope": "openid read:jira-work"}, "valid=[openid], invalid=[read:jira-work]"),
    ("an unknown challenge", {"code_challenge": "c", "code_challenge_method": "S512"}, "Error 400: invalid_request"),
]


@pytest.mark.parametrize(("changed", "words"), [row[1:] for row in ON_THE_PAGE], ids=[row[0] for row in ON_THE_PAGE])
async def test_a_bad_request_ends_on_googles_page_before_the_login(
    google: Walk, changed: dict[str, str | None], words: str
) -> None:
    answer = await google.http.get(google.authorize_address("openid", **changed))
    assert words in text_of(answer)
    assert answer.status_code in (400, 401)
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("blocked", "status"),
    [
        ("admin_policy_enforced", 400),
        ("org_internal", 403),
        ("access_not_configured", 400),
        ("disallowed_useragent", 403),
    ],
)
async def test_an_organisations_block_ends_on_googles_page(google: Walk, blocked: str, status: int) -> None:
    await google.set("switches", blocked=blocked)
    answer = await google.http.get(google.authorize_address("openid"))
    assert (status, True) == (answer.status_code, f"Error {status}: {blocked}" in text_of(answer))


async def test_a_parameter_given_twice_is_refused(google: Walk) -> None:
    answer = await google.http.get(f"{google.authorize_address('openid')}&scope=email")
    assert "can only have a single value: scope" in text_of(answer)


async def test_a_user_who_declines_is_sent_back(google: Walk) -> None:
    told = query_of((await google.through(google.authorize_address("openid"), decision="cancel")).headers["location"])
    assert ("access_denied", STATE) == (told["error"], told["state"])


async def test_without_a_page_nothing_can_be_answered(google: Walk) -> None:
    answer = await google.http.get(google.authorize_address("openid", prompt="none"))
    assert "interaction_required" == query_of(answer.headers["location"])["error"]


CODE = {"grant_type": "authorization_code"}
REFUSED = [
    ("a wrong secret", {**CODE, "client_secret": "guess"}, 401, "invalid_client", "Unauthorized"),
    ("an unknown client", {**CODE, "client_id": "no"}, 401, "invalid_client", "The OAuth client was not found."),
    ("a code that never was", {**CODE, "code": "guess"}, 400, "invalid_grant", "Malformed auth code."),
    ("no code", {**CODE, "code": ""}, 400, "invalid_request", "Missing required parameter: code"),
    ("another redirect_uri", {**CODE, "redirect_uri": "http://x/"}, 400, "redirect_uri_mismatch", "Bad Request"),
    ("no verifier", CODE, 400, "invalid_grant", "Missing code verifier."),
    ("a wrong verifier", {**CODE, "code_verifier": "w" * 50}, 400, "invalid_grant", "Invalid code verifier."),
    ("another grant", {"grant_type": "password"}, 400, "unsupported_grant_type", "Invalid grant_type: password"),
    ("no grant", {}, 400, "invalid_request", "Missing required parameter: grant_type"),
    (
        "a dead refresh token",
        {"grant_type": "refresh_token", "refresh_token": "guess"},
        400,
        "invalid_grant",
        "Token has been expired or revoked.",
    ),
]


@pytest.mark.parametrize(
    ("body", "status", "error", "description"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_a_bad_token_request_is_refused_as_google_does(
    google: Walk, body: dict[str, str], status: int, error: str, description: str
) -> None:
    code = await google.code("openid", code_challenge="c" * 43, code_challenge_method="S256")
    answer = await google.swap({"code": code, **body})
    expected = (status, {"error": error, "error_description": description})
    assert expected == (answer.status_code, answer.json())


async def test_a_code_serves_once(google: Walk) -> None:
    code = await google.code("openid")
    assert [200, 400] == [(await google.swap({**CODE, "code": code})).status_code for _ in range(2)]


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("email profile", SIGN_IN),
        ("openid", "openid"),
        ("profile", f"openid {PROFILE}"),
        (f"{CALENDAR} email", f"{EMAIL} openid {CALENDAR}"),
        (f"{AUTH}drive.appfolder", f"{AUTH}drive.appdata"),
    ],
)
async def test_scopes_are_answered_in_googles_spelling(google: Walk, asked: str, answered: str) -> None:
    assert answered == (await google.tokens(asked))["scope"]


async def test_each_scope_besides_sign_in_has_a_box_where_there_are_two(google: Walk) -> None:
    asked = f"openid {GMAIL} {DRIVE}"
    assert f"openid {DRIVE}" == (await google.tokens(asked, untick=[GMAIL]))["scope"]
    assert "openid" == (await google.tokens(asked, "bob", untick=[GMAIL, DRIVE]))["scope"]
    one = await google.log_in(google.authorize_address(f"openid {GMAIL}"), "carol")
    assert "checkbox" not in one.text


async def test_nothing_left_to_grant_is_a_refusal(google: Walk) -> None:
    answer = await google.through(google.authorize_address(f"{GMAIL} {DRIVE}"), untick=[GMAIL, DRIVE])
    assert "access_denied" == query_of(answer.headers["location"])["error"]


async def test_the_switches_for_boxes_hold(google: Walk) -> None:
    asked = f"openid {GMAIL} {DRIVE}"
    await google.set("switches", unticked=[GMAIL])
    assert f"openid {DRIVE}" == (await google.tokens(asked))["scope"]
    await google.set("switches", granular_consent=False)
    older = await google.log_in(google.authorize_address(asked, prompt="consent"))
    willing = google.authorize_address(asked, prompt="consent", enable_granular_consent="true")
    assert (0, 2) == (older.text.count("checkbox"), (await google.log_in(willing)).text.count("checkbox"))


async def test_earlier_grants_are_in_the_token_only_if_the_client_asks_for_them(google: Walk) -> None:
    await google.tokens(GMAIL)
    assert DRIVE == (await google.tokens(DRIVE))["scope"]
    assert f"{CALENDAR} {DRIVE} {GMAIL}" == (await google.tokens(CALENDAR, include_granted_scopes="true"))["scope"]


async def test_a_refresh_token_comes_with_the_first_consent_or_where_the_client_insists(google: Walk) -> None:
    assert "refresh_token" in await google.tokens("openid")
    assert "refresh_token" not in await google.tokens("openid")
    assert "refresh_token" in await google.tokens("openid", prompt="consent")
    assert "refresh_token" not in await google.tokens("openid", "bob", access_type=None)
    assert "refresh_token" in await google.tokens("openid", "bob")


async def test_the_hundred_and_first_refresh_token_ends_the_first(google: Walk) -> None:
    tokens = [(await google.tokens("openid", prompt="consent"))["refresh_token"] for _ in range(101)]
    assert [400, 200, 200] == [(await google.renewed(tokens[place])).status_code for place in (0, 1, 100)]


async def test_tokeninfo_tells_what_was_granted(google: Walk) -> None:
    token = (await google.tokens(f"openid email {GMAIL}"))["access_token"]
    found = json_of(await google.http.get("/google/tokeninfo", params={"access_token": token}))
    assert (f"{EMAIL} openid {GMAIL}", "sandbox-google", "offline") == (
        found["scope"],
        found["aud"],
        found["access_type"],
    )
    assert 400 == (await google.http.get("/google/tokeninfo", params={"access_token": "guess"})).status_code


async def test_an_api_call_without_its_scope_is_refused_as_google_does(google: Walk) -> None:
    token = (await google.tokens("openid"))["access_token"]
    answer = await google.api("GET", "/gmail/v1/users/me/profile", token)
    error = answer.json()["error"]
    assert (403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT") == (
        answer.status_code,
        error["status"],
        error["details"][0]["reason"],
    )
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]


async def test_an_app_whose_console_lacks_a_scope_is_called_unverified_and_its_api_is_off(google: Walk) -> None:
    gmails = [f"{AUTH}gmail.{one}" for one in ("readonly", "modify", "metadata")]
    await google.lack("https://mail.google.com/", *gmails)
    consent = await google.log_in(google.authorize_address(f"openid {GMAIL}"))
    assert "hasn't verified this app" in text_of(consent)
    await google.decide(consent)
    answer = await google.api("GET", "/gmail/v1/users/me/profile", (await google.tokens(GMAIL))["access_token"])
    assert (403, "SERVICE_DISABLED") == (answer.status_code, answer.json()["error"]["details"][0]["reason"])


async def test_session_control_and_time_based_access_show_in_refreshes(google: Walk) -> None:
    await google.set("switches", time_based_access=True, session_control=True)
    token = await google.tokens("openid")
    assert 86399 == token["refresh_token_expires_in"]
    answer = await google.renewed(token["refresh_token"])
    assert ("invalid_grant", "invalid_rapt") == (answer.json()["error"], answer.json()["error_subtype"])
