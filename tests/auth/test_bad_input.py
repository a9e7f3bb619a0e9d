"""Every route answers bad input with the right status, in the form that its caller reads, and never with a failure."""

from typing import Any

import httpx
import pytest

from tests.auth.world import APP_REDIRECT, Person, World
from tests.support.browsing import Window

CLIENTS = "/api/v1/organizations/default/clients"
IDP: dict[str, Any] = {"idp": "bad-input", "profile": "atlassian", "client_id": "x", "client_secret": "y"}
CLIENT: dict[str, Any] = {"client_id": "bad-input", "client_name": "Bad", "redirect_uris": [APP_REDIRECT]}

ADMIN_CASES: list[tuple[str, str, dict[str, Any], int, str]] = [
    # method, path, what is sent, status, kind of problem
    ("POST", "/v1/idps", {"content": b"{}"}, 415, "media-type"),
    ("POST", "/v1/idps", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "malformed-body"),
    ("POST", "/v1/idps", {"content": b"\xff", "headers": {"content-type": "application/json"}}, 400, "malformed-body"),
    (
        "POST",
        "/v1/idps",
        {"content": b"[" * 9999, "headers": {"content-type": "application/json"}},
        422,
        "invalid-body",
    ),
    ("POST", "/v1/idps", {"json": {}}, 422, "invalid-body"),
    ("POST", "/v1/idps", {"json": {**IDP, "idp": "a.b"}}, 422, "invalid-body"),
    ("POST", "/v1/idps", {"json": {**IDP, "extra": 1}}, 422, "invalid-body"),
    ("POST", "/v1/idps", {"json": {**IDP, "client_secret": ""}}, 422, "invalid-body"),
    ("POST", "/v1/idps", {"json": {**IDP, "endpoints": {"token": "javascript://x"}}}, 422, "invalid-body"),
    ("POST", "/v1/idps", {"json": {**IDP, "profile": "no-such"}}, 422, "unknown-profile"),
    ("POST", "/v1/idps", {"json": {**IDP, "authorize_params": {"state": "x"}}}, 422, "reserved-parameter"),
    ("POST", "/v1/idps", {"json": {**IDP, "base_scopes": ["s" * 250 + str(n) for n in range(300)]}}, 422, "too-large"),
    ("POST", "/v1/idps", {"json": {**IDP, "client_id": "x" * 300_000}}, 413, "body-too-large"),
    ("PUT", "/v1/idps", {}, 405, "method"),
    ("GET", "/v1/idps/no-such", {}, 404, "unknown-idp"),
    ("GET", "/v1/idps/%00", {}, 404, "unknown-idp"),
    ("GET", "/v1/nothing", {}, 404, "not-found"),
    ("POST", CLIENTS, {"json": {**CLIENT, "redirect_uris": []}}, 422, "invalid-redirect-uri"),
    (
        "POST",
        CLIENTS,
        {"json": {**CLIENT, "redirect_uris": ["javascript://x/%0aalert(1)"]}},
        422,
        "invalid-redirect-uri",
    ),
    ("POST", CLIENTS, {"json": {**CLIENT, "redirect_uris": [APP_REDIRECT + "#frag"]}}, 422, "invalid-redirect-uri"),
    ("POST", CLIENTS, {"json": {**CLIENT, "redirect_uris": ["https://a@b.example/"]}}, 422, "invalid-redirect-uri"),
    ("POST", CLIENTS, {"json": {**CLIENT, "redirect_uris": ["https://["]}}, 422, "invalid-redirect-uri"),
    ("POST", CLIENTS, {"json": {**CLIENT, "grant_types": ["implicit"]}}, 422, "invalid-body"),
    ("POST", CLIENTS, {"json": {**CLIENT, "token_endpoint_auth_method": "plain"}}, 422, "invalid-body"),
    ("POST", "/api/v1/organizations/other/clients", {"json": CLIENT}, 404, "unknown-organisation"),
    ("GET", "/api/v1/organizations/a.b/clients", {}, 404, "unknown-organisation"),
    ("DELETE", "/v1/users/a.b/grants", {}, 404, "unknown-user"),
    ("GET", "/v1/reconsent?limit=0", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?limit=1001", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?limit=x", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?idp=a.b", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?nonsense=1", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?limit=1&limit=2", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?cursor=%C3%A9", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?cursor=bm90aGluZw==", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=yesterday", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=2026-01-01T00:00:00Z", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=9999-01-01T00:00:00Z", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=-1", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=2026-01-01T00:00:00", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=999999999", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=99999999999999999999999999999999999999", {}, 400, "no-such-moment"),
]


@pytest.mark.parametrize("case", ADMIN_CASES, ids=lambda case: f"{case[0]}-{case[1][:40]}-{case[4]}")
async def test_the_admin_api_says_what_to_change(world: World, case: tuple[str, str, dict[str, Any], int, str]) -> None:
    method, path, sent, status, kind = case
    answer = await world.admin(method, path, **sent)
    assert (status, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"]), answer.text
    assert "application/problem+json" == answer.headers["content-type"]
    assert answer.json()["detail"]


GUARDED = [
    ("POST", "/v1/idps"),
    ("GET", "/v1/idps"),
    ("GET", "/v1/idps/atlassian"),
    ("POST", CLIENTS),
    ("GET", CLIENTS),
    ("DELETE", "/v1/users/u_user0001/grants"),
    ("GET", "/v1/reconsent"),
    ("GET", "/v1/quarantine"),
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_every_route_of_the_admin_api_is_guarded(world: World, method: str, path: str) -> None:
    bad = [b"", b"Bearer", b"Bearer wrong", b"Basic dXNlcjpwYXNz", b"Bearer \xff"]
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        for credential in bad:
            answer = await http.request(method, path, headers=[(b"authorization", credential)])
            assert (401, "urn:scopefold:problem:unauthorised") == (answer.status_code, answer.json()["type"])
            assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_client_is_registered_once(world: World) -> None:
    body = {**CLIENT, "client_id": "once"}
    first, again = [await world.admin("POST", CLIENTS, json=body) for _ in range(2)]
    assert (201, 200) == (first.status_code, again.status_code)
    assert ("client_secret" in first.json(), "client_secret" in again.json()) == (True, False)
    other = await world.admin("POST", CLIENTS, json={**body, "client_name": "Other"})
    assert (409, "urn:scopefold:problem:client-exists") == (other.status_code, other.json()["type"])


PAGES: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/authorize", {}),
    ("GET", "/authorize?client_id=%00%ff", {}),
    ("GET", "/authorize?client_id=no-such&redirect_uri=https://evil.example", {}),
    ("POST", "/authorize", {"content": b"\xff\xfe"}),
    ("POST", "/authorize", {"content": "&".join(f"n{n}=1" for n in range(100)).encode()}),
    ("POST", "/authorize", {"json": {"client_id": "x"}}),
    ("GET", "/oauth2/callback", {}),
    ("GET", "/oauth2/callback/no-such?state=x&code=y", {}),
    ("GET", "/oauth2/callback/%00?state=%00", {}),
    ("GET", "/oauth2/callback?state=a&state=b", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), PAGES)
async def test_people_get_a_page(world: World, method: str, path: str, sent: dict[str, Any]) -> None:
    answer = await Window(world.auth.url).request(method, path, **sent)
    assert (400, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert "location" not in answer.headers


TOKEN_CASES: list[tuple[dict[str, Any], int, str]] = [
    ({"data": {}}, 400, "invalid_request"),
    ({"data": {"grant_type": "authorization_code"}}, 401, "invalid_client"),
    ({"data": {"grant_type": "authorization_code", "client_id": "no-such", "code": "x"}}, 401, "invalid_client"),
    ({"json": {"grant_type": "authorization_code"}}, 400, "invalid_request"),
    ({"content": b"\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400, "invalid_request"),
    ({"content": b"a=1&a=2", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400, "invalid_request"),
    ({"data": {"grant_type": "authorization_code"}, "headers": {"authorization": "Basic //4="}}, 401, "invalid_client"),
    ({"data": {"grant_type": "authorization_code"}, "headers": {"authorization": "Basic !"}}, 401, "invalid_client"),
    ({"data": {"grant_type": "authorization_code"}, "headers": {"authorization": "Basic"}}, 401, "invalid_client"),
    ({"data": {"client_assertion": "x"}, "headers": {"authorization": "Basic eDp5"}}, 400, "invalid_request"),
    ({"data": {"client_id": "y"}, "headers": {"authorization": "Basic eDp5"}}, 401, "invalid_client"),
    ({"data": {"client_secret": "x"}, "headers": {"authorization": "Basic eDp5"}}, 400, "invalid_request"),
]


@pytest.mark.parametrize(("sent", "status", "error"), TOKEN_CASES)
async def test_the_token_endpoint_speaks_oauth(world: World, sent: dict[str, Any], status: int, error: str) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        answer = await http.post("/oauth2/token", **sent)
    assert ("application/json", "no-store") == (answer.headers["content-type"], answer.headers["cache-control"])
    assert error == answer.json()["error"]
    assert status == answer.status_code


async def test_a_grant_type_that_is_not_ours_is_unsupported(world: World) -> None:
    app = await world.register_client()
    for grant in ("password", "implicit", ""):
        answer = await app.swap("code", grant_type=grant)
        assert (400, "unsupported_grant_type") == (answer.status_code, answer.json()["error"]), grant


async def test_a_name_with_reserved_characters_authenticates_by_basic(world: World) -> None:
    """RFC 6749, section 2.3.1: both parts of the header are form-encoded first."""
    app = await world.register_client(
        client_id="urn:app%20:é".replace("é", "e"), token_endpoint_auth_method="client_secret_basic"
    )
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        answer = await http.post(
            "/oauth2/token",
            data={"grant_type": "authorization_code", "code": "none"},
            auth=("urn%3Aapp%2520%3Ae", str(app.secret)),
        )
    assert (400, "invalid_grant") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize(
    ("changed", "diagnosis", "shown"),
    [
        ({"redirect_uri": "https://jira.example/plugins/servlet/oidc/callback"}, "app.redirect-unregistered", True),
        ({"client_id": "nobody"}, "app.client-unknown", False),
    ],
)
async def test_who_runs_scopefold_is_told_what_an_app_has_wrong(
    world: World, changed: dict[str, str], diagnosis: str, shown: bool
) -> None:
    """The seed's row "plugin redirect fails with 400": the address to register can be copied from the page."""
    app, browser = await world.register_client(), Person(world).browser
    page = await browser.get(app.address(**changed))
    assert 400 == page.status_code
    assert "<code>scopefold client " in page.text
    assert shown == ("https://jira.example/plugins/servlet/oidc/callback</code>" in page.text)
    async with world.auth.client() as program:
        told = await program.get(app.address(**changed), headers={"accept": "application/json"})
    assert "application/problem+json" == told.headers["content-type"]
    assert diagnosis == told.json()["diagnosis"]["id"]


async def test_who_comes_back_to_a_login_that_is_over_is_told_what_to_do(world: World) -> None:
    page = await Person(world).browser.get("/oauth2/callback?state=gone&code=x")
    assert (400, True) == (page.status_code, "begin the login again" in page.text)
