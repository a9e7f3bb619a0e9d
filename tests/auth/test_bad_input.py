"""Every route answers bad input with the right status, in the form that its caller reads, and never with a failure."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.records import Client, Session
from scopefold.auth.web.pages import PAGE_HEADERS
from scopefold.auth.web.service import now
from scopefold.runtime.web import PROBLEM_PREFIX
from tests.attacks.stored import buckets_of
from tests.auth.world import APP_REDIRECT, Person, World, new_world
from tests.support.browsing import Window

CLIENTS = "/api/v1/organizations/default/clients"
IDP: dict[str, Any] = {"idp": "bad-input", "profile": "atlassian", "client_id": "x", "client_secret": "y"}
CLIENT: dict[str, Any] = {"client_id": "bad-input", "client_name": "Bad", "redirect_uris": [APP_REDIRECT]}

OF_A_USER = (("GET", "sessions"), ("DELETE", "sessions"), ("DELETE", "grants"), ("GET", "groups"))

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
    ("POST", "/v1/idps", {"json": {**IDP, "endpoints": {"tokn": "https://t.example"}}}, 422, "invalid-body"),
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
    *((method, f"/v1/users/u_nobody001/{what}", {}, 404, "unknown-user") for method, what in OF_A_USER),
    ("PUT", "/v1/users/u_nobody001/groups", {"json": {"groups": []}}, 404, "unknown-user"),
    ("DELETE", "/v1/users/u_nobody001", {}, 404, "unknown-user"),
    ("GET", "/v1/reconsent?user=u_nobody001", {}, 404, "unknown-user"),
    ("GET", "/v1/reconsent?user=u_nobody001&at=0", {}, 404, "unknown-user"),
    ("GET", "/v1/reconsent/export?user=u_nobody001", {}, 404, "unknown-user"),
    ("GET", "/v1/log/explain?user=u_nobody001&idp=atlassian", {}, 404, "unknown-user"),
    ("GET", "/v1/reconsent?idp=no-such", {}, 404, "unknown-idp"),
    ("GET", "/v1/reconsent?connector=no-such", {}, 404, "unknown-connector"),
    ("GET", "/v1/reconsent?scope=no-such", {}, 404, "unknown-scope"),
    ("GET", "/v1/reconsent/counts?by=scope&scope=no-such", {}, 404, "unknown-scope"),
    ("GET", "/v1/reconsent/export?scope=no-such&at=0", {}, 404, "unknown-scope"),
    ("GET", "/v1/reconsent/counts?idp=no-such", {}, 404, "unknown-idp"),
    ("GET", "/v1/reconsent/counts?by=group&connector=no-such", {}, 404, "unknown-connector"),
    ("GET", "/v1/reconsent/export?idp=no-such", {}, 404, "unknown-idp"),
    ("GET", "/v1/reconsent/export?connector=no-such&at=0", {}, 404, "unknown-connector"),
    ("GET", "/v1/log/diff?from=0&idp=no-such", {}, 404, "unknown-idp"),
    ("GET", "/v1/reconsent?at=yesterday", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=2026-01-01T00:00:00Z", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=9999-01-01T00:00:00Z", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=-1", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=2026-01-01T00:00:00", {}, 400, "invalid-query"),
    ("GET", "/v1/reconsent?at=999999999", {}, 400, "no-such-moment"),
    ("GET", "/v1/reconsent?at=99999999999999999999999999999999999999", {}, 400, "no-such-moment"),
]


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("asked", "status", "code", "says"),
    [
        (("GET", "/nowhere"), 404, "not-found", "No page of this service has this address"),
        (("GET", "/v1/nothing/<b>"), 404, "not-found", "No page of this service has this address"),
        (("GET", "/nobody/account/sessions"), 404, "unknown-organisation", "names an organisation"),
        (("GET", "/consent"), 405, "method", "cannot be opened by itself"),
        (("DELETE", "/authorize"), 405, "method", "cannot be opened by itself"),
    ],
)
async def test_A22_A23_browsers_at_a_wrong_address_get_a_page_and_programs_a_problem(
    world: World, asked: tuple[str, str], status: int, code: str, says: str
) -> None:
    page = await world.admin(*asked, headers={"accept": BROWSER})
    assert (status, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert dict(PAGE_HEADERS) == {name: page.headers[name] for name in PAGE_HEADERS}
    assert says in page.text
    assert f"<code>{code}</code>" in page.text
    assert "<b>" not in page.text
    for accept in ("*/*", "application/json", "application/json, text/html", "application/problem+json", ""):
        problem = await world.admin(*asked, headers={"accept": accept})
        assert (status, PROBLEM_PREFIX + code) == (problem.status_code, problem.json()["type"]), accept
        assert problem.headers.get("allow") == page.headers.get("allow")
    assert (status == 405) == ("allow" in page.headers)


def test_A22_A23_a_failure_of_ours_is_a_page_for_browsers_and_says_nothing_of_its_cause(tmp_path: Path) -> None:
    with new_world(tmp_path) as own:
        asyncio.run(_failing(own))


async def _failing(world: World) -> None:
    app = await world.register_client()
    async with buckets_of(world) as found:
        key = hashed(app.id)
        sound = await found.clients.get(key, Client)
        assert sound is not None
        await found.clients.update(key, Session("what-is-broken", now(), now(), ()), revision=sound[1])
    page = await world.admin("GET", app.address(), headers={"accept": BROWSER})
    problem = await world.admin("GET", app.address(), headers={"accept": "*/*"})
    assert (500, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert dict(PAGE_HEADERS) == {name: page.headers[name] for name in PAGE_HEADERS}
    assert "Go back to the app" in page.text and "/authorize failed" in page.text
    assert (500, PROBLEM_PREFIX + "failure") == (problem.status_code, problem.json()["type"])
    with closing(sqlite3.connect(world.directory / "auth" / "projection.db", isolation_level=None)) as kept:
        kept.execute("DROP TABLE quarantine")
    sql = await world.admin("GET", "/v1/quarantine")
    assert (500, PROBLEM_PREFIX + "failure") == (sql.status_code, sql.json()["type"]), "trying again does not help"
    assert "no such table" in world.auth.said() and "Traceback" in world.auth.said()
    for answer in (page, problem, sql):
        assert not [word for word in ("Error", "Expected", "broken", "msgspec", app.id) if word in answer.text]


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
    ("GET", "/account/reconsent", {}),
    ("GET", "/oauth2/logout?client_id=no-such&client_id=another", {}),
]


@pytest.mark.parametrize(("method", "path", "sent"), PAGES)
async def test_people_get_a_page(world: World, method: str, path: str, sent: dict[str, Any]) -> None:
    answer = await Window(world.auth.url).request(method, path, **sent)
    assert (400, "text/html; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    assert "location" not in answer.headers
    to_do = ("Go back to the app", "Ask whoever", "This needs whoever runs Scopefold")
    assert any(one in answer.text for one in to_do), "it says what to do"
    assert ("This login cannot" in answer.text) == (not path.startswith(("/oauth2/logout", "/account/")))


NOT_ASCII = [(b"authorization", b"Basic \xe9"), (b"content-type", b"application/x-www-form-urlencoded")]
TOKEN_CASES: list[tuple[dict[str, Any], int, str]] = [
    ({"data": {}}, 400, "invalid_request"),
    ({"data": {"grant_type": "authorization_code"}}, 401, "invalid_client"),
    ({"data": {"grant_type": "authorization_code", "client_id": "no-such", "code": "x"}}, 401, "invalid_client"),
    ({"json": {"grant_type": "authorization_code"}}, 400, "invalid_request"),
    ({"content": b"\xff", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400, "invalid_request"),
    ({"content": b"a=1&a=2", "headers": {"content-type": "application/x-www-form-urlencoded"}}, 400, "invalid_request"),
    ({"data": {"grant_type": "authorization_code"}, "headers": {"authorization": "Basic //4="}}, 401, "invalid_client"),
    ({"data": {"grant_type": "authorization_code"}, "headers": {"authorization": "Basic !"}}, 401, "invalid_client"),
    ({"content": b"a=1", "headers": NOT_ASCII}, 401, "invalid_client"),
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


WRONG_REQUESTS: list[str] = [
    "/authorize?client_id={app}&client_id={app}",
    "/authorize?redirect_uri=https://a.example&redirect_uri=https://b.example",
    "/authorize?client_id={app}&request_uri=urn:ietf:params:oauth:request_uri:gone",
    "/authorize?client_id={app}&response_type=token",
    "/oauth2/logout?id_token_hint=x",
    "/authorize?no+session=1&no+session=2",
]


@pytest.mark.parametrize("path", WRONG_REQUESTS)
async def test_what_an_app_has_wrong_is_never_told_as_the_idps(world: World, path: str) -> None:
    app, browser = await world.register_client(), Person(world).browser
    page = await browser.get(path.format(app=app.id))
    assert (400, True) == (page.status_code, "show this page to whoever runs the app" in page.text), page.text
    for word in ("provider", "scopefold idp", "callback", "whoever runs Scopefold"):
        assert word not in page.text
    async with world.auth.client() as program:
        told = await program.get(path.format(app=app.id), headers={"accept": "application/json"})
    assert "app.bad-request" == told.json()["diagnosis"]["id"]


async def test_who_comes_back_to_a_login_that_is_over_is_told_what_to_do(world: World) -> None:
    page = await Person(world).browser.get("/oauth2/callback?state=gone&code=x")
    assert (400, True) == (page.status_code, "begin the login again" in page.text)
