"""The generic OpenID provider, over HTTP: what works, what is refused how, and what its switches change."""

from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, VERIFIER, Place, Walk, json_of, query_of, text_of

OIDC = Place("oidc", "/authorize", "/token", "client_secret_basic")
CHALLENGE = {"code_challenge": "XuuQzk4ekK2TC8SWbNF5k9nEFg0-_nC7VjI6z6SAkiA", "code_challenge_method": "S256"}


@pytest.fixture
async def oidc(walk_at: WalkAt) -> Walk:
    return await walk_at(OIDC)


async def claims_in(walk: Walk, id_token: str) -> dict[str, Any]:
    """The claims of an id_token whose signature is right."""
    keys = KeySet.import_key_set(json_of(await walk.http.get(f"{walk.prefix}/jwks")))  # type: ignore[arg-type]
    return dict(jwt.decode(id_token, keys, algorithms=["RS256", "ES256"]).claims)


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
async def test_a_foreign_oauth_client_signs_in_and_refreshes(oidc: Walk, way: str) -> None:
    said = json_of(await oidc.http.get("/oidc/.well-known/openid-configuration"))
    assert said["issuer"] == f"{oidc.base}/oidc"
    async with oidc.client(scope="openid profile email offline_access", token_endpoint_auth_method=way) as client:
        address, state = client.create_authorization_url(
            said["authorization_endpoint"], code_verifier=VERIFIER, nonce="the-nonce"
        )
        back = (await oidc.through(address)).headers["location"]
        assert query_of(back)["iss"] == said["issuer"]
        token = await client.fetch_token(
            said["token_endpoint"], authorization_response=back, state=state, code_verifier=VERIFIER
        )
        claims = await claims_in(oidc, token["id_token"])
        expected = {
            "iss": said["issuer"],
            "aud": "sandbox-oidc",
            "sub": "sandbox-user-0001",
            "nonce": "the-nonce",
            "name": "Alice Arden",
            "email": "alice@sandbox.example",
        }
        assert expected == {name: claims[name] for name in expected}
        assert (await client.get(said["userinfo_endpoint"])).json()["sub"] == claims["sub"]
        renewed = await client.refresh_token(said["token_endpoint"], refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        assert (await claims_in(oidc, renewed["id_token"]))["sub"] == claims["sub"]
        assert (await client.get(said["userinfo_endpoint"])).status_code == 200


SHOWN = [
    ("an unknown client", {"client_id": "nobody"}, "This app is not known here."),
    ("another redirect_uri", {"redirect_uri": "https://evil.example/"}, "an address that it did not register"),
    ("no redirect_uri", {"redirect_uri": None}, "an address that it did not register"),
]


@pytest.mark.parametrize(("changed", "words"), [row[1:] for row in SHOWN], ids=[row[0] for row in SHOWN])
async def test_a_request_of_nobody_or_to_nowhere_is_shown_and_not_redirected(
    oidc: Walk, changed: dict[str, str | None], words: str
) -> None:
    answer = await oidc.http.get(oidc.authorize_address("openid", **changed))
    assert (400, True) == (answer.status_code, words in text_of(answer))
    assert "location" not in answer.headers


TOLD = [
    ("no response_type", {"response_type": None}, "invalid_request"),
    ("the implicit flow", {"response_type": "token"}, "unsupported_response_type"),
    ("no scope", {"scope": None}, "invalid_scope"),
    ("plain PKCE", {**CHALLENGE, "code_challenge_method": "plain"}, "invalid_request"),
    ("PKCE without a method", {**CHALLENGE, "code_challenge_method": None}, "invalid_request"),
    ("a request object", {"request": "e30.e30."}, "request_not_supported"),
    ("a request object elsewhere", {"request_uri": "https://app.example/r"}, "request_uri_not_supported"),
    ("no page", {"prompt": "none"}, "login_required"),
]


@pytest.mark.parametrize(("changed", "error"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
async def test_another_bad_request_is_told_to_the_client_before_the_login(
    oidc: Walk, changed: dict[str, str | None], error: str
) -> None:
    answer = await oidc.http.get(oidc.authorize_address("openid", **changed))
    told = query_of(answer.headers["location"])
    assert (303, error, STATE, f"{oidc.base}/oidc") == (answer.status_code, told["error"], told["state"], told["iss"])


async def test_a_parameter_given_twice_is_refused(oidc: Walk) -> None:
    answer = await oidc.http.get(f"{oidc.authorize_address('openid')}&scope=email")
    assert query_of(answer.headers["location"])["error"] == "invalid_request"


async def test_a_request_may_come_as_a_form(oidc: Walk) -> None:
    fields = query_of(oidc.authorize_address("openid"))
    assert "Log in" in (await oidc.http.post("/oidc/authorize", data=fields)).text


async def test_a_user_who_declines_is_sent_back(oidc: Walk) -> None:
    answer = await oidc.through(oidc.authorize_address("openid"), decision="cancel")
    assert query_of(answer.headers["location"])["error"] == "access_denied"


async def test_what_was_granted_is_not_asked_again_unless_the_client_insists(oidc: Walk) -> None:
    await oidc.code("openid email")
    assert (await oidc.log_in(oidc.authorize_address("openid"))).status_code == 303
    assert (await oidc.log_in(oidc.authorize_address("openid profile"))).status_code == 200
    assert (await oidc.log_in(oidc.authorize_address("openid", prompt="consent"))).status_code == 200


CODE = {"grant_type": "authorization_code"}
REFUSED = [
    ("a wrong secret", {**CODE, "client_secret": "guess"}, 401, "invalid_client"),
    ("an unknown client", {**CODE, "client_id": "nobody"}, 401, "invalid_client"),
    ("a code that never was", {**CODE, "code": "guess"}, 400, "invalid_grant"),
    ("another redirect_uri", {**CODE, "redirect_uri": "https://evil.example/"}, 400, "invalid_grant"),
    ("no verifier", CODE, 400, "invalid_grant"),
    ("a wrong verifier", {**CODE, "code_verifier": "w" * 50}, 400, "invalid_grant"),
    ("a refresh token that never was", {"grant_type": "refresh_token", "refresh_token": "g"}, 400, "invalid_grant"),
    ("another grant", {"grant_type": "password"}, 400, "unsupported_grant_type"),
    ("no grant", {}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("body", "status", "error"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_bad_token_request_is_refused(oidc: Walk, body: dict[str, str], status: int, error: str) -> None:
    code = await oidc.code("openid", **CHALLENGE)
    answer = await oidc.swap({"code": code, **body})
    assert (status, error) == (answer.status_code, answer.json()["error"])
    assert (status == 401) is ("www-authenticate" in answer.headers)


async def test_a_code_serves_once(oidc: Walk) -> None:
    code = await oidc.code("openid")
    assert [200, 400] == [(await oidc.swap({**CODE, "code": code})).status_code for _ in range(2)]


async def test_a_refresh_narrows_and_never_widens(oidc: Walk) -> None:
    token = (await oidc.tokens("openid api:read api:write offline_access"))["refresh_token"]
    narrowed = json_of(await oidc.renewed(token, scope="api:read"))
    assert narrowed["scope"] == "api:read"
    refused = await oidc.renewed(narrowed["refresh_token"], scope="api:read email")
    assert (400, "invalid_scope") == (refused.status_code, refused.json()["error"])


async def test_userinfo_needs_a_live_token_with_openid(oidc: Walk) -> None:
    without = (await oidc.tokens("api:read"))["access_token"]
    assert 403 == (await oidc.api("GET", "/userinfo", without)).status_code
    assert 401 == (await oidc.api("GET", "/userinfo", "guess")).status_code
    good = (await oidc.tokens("openid"))["access_token"]
    assert {"sub": "sandbox-user-0001"} == json_of(await oidc.api("GET", "/userinfo", good))
    await oidc.revoke("alice")
    assert 401 == (await oidc.api("GET", "/userinfo", good)).status_code


async def test_a_revoked_refresh_token_is_dead(oidc: Walk) -> None:
    token = (await oidc.tokens("openid offline_access"))["refresh_token"]
    credentials = {"client_id": OIDC.client_id, "client_secret": OIDC.secret}
    assert 401 == (await oidc.http.post("/oidc/revoke", data={"token": token})).status_code
    assert 200 == (await oidc.http.post("/oidc/revoke", data={"token": token, **credentials})).status_code
    assert 400 == (await oidc.renewed(token)).status_code


async def test_logging_out_leads_back_only_to_a_registered_address(oidc: Walk) -> None:
    wanted = {"post_logout_redirect_uri": oidc.redirect_uri}
    assert oidc.redirect_uri == (await oidc.http.get("/oidc/logout", params=wanted)).headers["location"]
    answer = await oidc.http.get("/oidc/logout", params={"post_logout_redirect_uri": "https://evil.example/"})
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("echo", "asked", "shown"),
    [
        ("always", "openid", "openid"),
        ("if_different", "openid", None),
        ("if_different", "openid calendar", "openid"),
        ("never", "openid calendar", None),
    ],
)
async def test_the_scope_is_echoed_as_the_switch_says(oidc: Walk, echo: str, asked: str, shown: str | None) -> None:
    await oidc.set("switches", echo_scope=echo)
    assert shown == (await oidc.tokens(asked)).get("scope")


async def test_a_scope_that_the_app_lacks_is_dropped_or_refused(oidc: Walk) -> None:
    await oidc.lack("api:write")
    assert "openid" == (await oidc.tokens("openid api:write"))["scope"]
    await oidc.set("switches", unpermitted_scope="invalid_scope")
    answer = await oidc.http.get(oidc.authorize_address("openid api:write"))
    assert "invalid_scope" == query_of(answer.headers["location"])["error"]


async def test_an_unticked_scope_is_not_granted(oidc: Walk) -> None:
    await oidc.set("switches", tick_boxes=True)
    assert "openid api:read" == (await oidc.tokens("openid email api:read", untick=["email", "openid"]))["scope"]


async def test_refresh_tokens_rotate_or_stay(oidc: Walk) -> None:
    first = (await oidc.tokens("openid offline_access"))["refresh_token"]
    assert first != json_of(await oidc.renewed(first))["refresh_token"]
    await oidc.set("switches", refresh_tokens="stay")
    first = (await oidc.tokens("openid offline_access"))["refresh_token"]
    assert [True, True] == ["refresh_token" not in json_of(await oidc.renewed(first)) for _ in range(2)]


async def test_the_other_switches_hold(oidc: Walk) -> None:
    switched = {"require_pkce": True, "client_authentication": "client_secret_post", "signing_algorithm": "ES256"}
    await oidc.set("switches", **switched, logout=False)
    said = json_of(await oidc.http.get("/oidc/.well-known/openid-configuration"))
    assert ["client_secret_post"] == said["token_endpoint_auth_methods_supported"]
    assert "end_session_endpoint" not in said
    answer = await oidc.http.get(oidc.authorize_address("openid"))
    assert "code_challenge is missing" == query_of(answer.headers["location"])["error_description"]
    code = await oidc.code("openid", **CHALLENGE)
    assert 401 == (await oidc.swap({**CODE, "code": code})).status_code  # by Basic
    await oidc.set("switches", signing_algorithm="ES256")
    claims = await claims_in(oidc, (await oidc.tokens("openid"))["id_token"])
    assert "sandbox-user-0001" == claims["sub"]
