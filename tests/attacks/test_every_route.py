"""What must hold at every route, whichever it is. The routes are read from the services: no new one is forgotten."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Route

from scopefold.cli.nats_server import NatsServer
from tests.attacks.routes import (
    JUDGED,
    PUBLIC,
    addresses,
    auth_routes,
    filled,
    oauth_routes,
    of_issuer,
)
from tests.auth.world import World, query_of
from tests.provisioner.running import provisioner
from tests.support.browsing import Window

FORM = {"content-type": "application/x-www-form-urlencoded"}
BAD_CREDENTIALS = ["", "Bearer", "Bearer wrong", "Basic YWRtaW46YWRtaW4=", "Bearer an-admin-token-of-the-test"]


def calls(routes: list[Route]) -> list[tuple[str, str]]:
    """All but OPTIONS, which only tells browsers what they may send."""
    return [(method, route.path) for route in routes for method in sorted(route.methods or ()) if method != "OPTIONS"]


def test_G12_every_route_of_an_issuer_is_decided() -> None:
    open_ones = {path for path in PUBLIC if ("GET", path) in oauth_routes()}
    assert {path for _, path in oauth_routes()} == set(JUDGED) | open_ones
    assert set() == set(JUDGED) & open_ones


async def test_G12_whatever_is_not_decided_to_be_open_needs_the_operators_credential(world: World) -> None:
    """A new route that is neither in `PUBLIC` nor in `JUDGED` and answers without a credential fails here."""
    guarded = 0
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        for method, path in calls(auth_routes()):
            place = of_issuer(path)
            for credential in BAD_CREDENTIALS:
                answer = await http.request(method, filled(path), headers={"authorization": credential})
                if place in JUDGED:
                    assert answer.status_code in (*JUDGED[place], 400, 401), (method, path, answer.text)
                    break
                if place in PUBLIC:
                    assert 200 == answer.status_code, (method, path)
                    break
                guarded += 1
                assert 401 == answer.status_code, (method, path, answer.text)
                assert answer.headers["www-authenticate"].startswith("Bearer")
    assert guarded > 100


USUAL = """
/metrics /debug /debug/pprof /debug/vars /docs /redoc /swagger /swagger.json /graphql /admin /console /status /info
/env /.env /.git/config /actuator /actuator/env /server-status /trace /varz /connz /jsz /v1 /v1/ /api /api/v1 /schema
/assets/ /assets/app.py /assets/%2e%2e/routes.py /static/ /healthz/x /openapi.yaml
"""


@pytest.mark.parametrize("path", USUAL.split())
async def test_G12_no_door_that_nobody_thought_of(world: World, path: str) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        for method in ("GET", "POST", "TRACE", "OPTIONS"):
            assert (await http.request(method, path)).status_code in (404, 405), (method, path)


@pytest.mark.usefixtures("log")
async def test_G12_the_provisioner_shows_nothing_without_its_credential(
    shared_nats: NatsServer, tmp_path: Path
) -> None:
    with provisioner(tmp_path, nats_url=shared_nats.url) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as http:
            document = (await http.get("/openapi.json")).json()
            paths = [(method, path) for path, one in document["paths"].items() for method in one]
            guarded = [(method, path) for method, path in paths if path not in PUBLIC]
            assert len(guarded) >= 5
            for method, path in guarded:
                assert 401 == (await http.request(method.upper(), filled(path))).status_code, (method, path)
            for path in USUAL.split():
                assert (await http.get(path)).status_code in (404, 405), path


OF_THE_LOG = {"ConnectorProvisioned", "ConnectorDeprovisioned", "ScopesPruned"}
"""A preview passes over what the log itself would pass over: a newer version may have written the event."""


def lenient(document: dict[str, Any]) -> set[str]:
    """What may stand in the body of a request, and lets members be sent that it does not have."""
    components, seen = document["components"]["schemas"], set[str]()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            named = str(value.get("$ref", "")).rpartition("/")[2]
            if named and named not in seen:
                seen.add(named)
                walk(components[named])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    for operations in document["paths"].values():
        for operation in operations.values():
            walk(operation.get("requestBody"))
    assert seen, "no body is described"
    described = {name: components[name] for name in seen if "properties" in components[name]}
    return {name for name, one in described.items() if one.get("additionalProperties") is not False}


@pytest.mark.usefixtures("log")
async def test_no_member_of_a_body_is_passed_over_however_deep_it_is(
    world: World, shared_nats: NatsServer, tmp_path: Path
) -> None:
    assert OF_THE_LOG == lenient((await world.admin("GET", "/openapi.json")).json())
    with provisioner(tmp_path, nats_url=shared_nats.url) as service:
        async with httpx.AsyncClient(base_url=service.url, timeout=20) as http:
            assert set() == lenient((await http.get("/openapi.json")).json())


ELSEWHERE = {"/oauth2/register", "/oauth2/register/{client_id}", "/account/sessions", "/account/connections"}
"""They take no parameters: JSON, or nothing."""


async def test_A12_no_parameter_comes_twice_at_any_endpoint(world: World) -> None:
    """At /authorize and /oauth2/par every parameter that is known is tried by itself: see `test_requests`."""
    browser = Window(world.auth.url)
    for method, path in oauth_routes():
        if path in ELSEWHERE or path not in JUDGED:
            continue
        for name in ("client_id", "state", "token", "code", "id_token_hint", "ticket", "form_token", "unknown"):
            for place in addresses(path):
                twice = f"{name}=x&{name}=x"
                if method == "GET":
                    answer = await browser.get(f"{place}?{twice}")
                else:
                    answer = await browser.request(method, place, content=twice, headers=FORM)
                expected = {401} if (method, path) == ("GET", "/oauth2/userinfo") else {400, 403}
                assert answer.status_code in expected, (method, place, name, answer.text)
                assert "location" not in answer.headers


MARKUP = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>`{{7*7}}\\ \u00e9\u2028"
PARAMETERS = """
client_id redirect_uri response_type scope state nonce prompt max_age login_hint code_challenge code_challenge_method
response_mode acr_values id_token_hint dpop_jkt request request_uri resource idp_hint ui_locales display claims
error error_description iss code token token_type_hint grant_type refresh_token code_verifier client_assertion
client_assertion_type client_secret ticket decision form_token post_logout_redirect_uri access_token
"""


async def test_A17_what_is_repeated_is_text_at_every_endpoint(world: World) -> None:
    browser, app = Window(world.auth.url), await world.register_client()
    for method, path in oauth_routes():
        for name in PARAMETERS.split():
            sent = {**app.request(), name: MARKUP}
            for accept in ("text/html", "application/json"):
                if method == "GET":
                    answer = await browser.get(filled(path), params=sent, headers={"accept": accept})
                else:
                    answer = await browser.request(method, filled(path), data=sent, headers={"accept": accept})
                nothing_runs(answer)
    for wild in (f"/{MARKUP}", f"/oauth2/callback/{MARKUP}", f"/v1/idps/{MARKUP}", f"/authorize?{MARKUP}=1&{MARKUP}=2"):
        nothing_runs(await browser.get(wild))
        nothing_runs(await world.admin("GET", wild))


SAYABLE = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")


def described_in(answer: httpx.Response) -> str:
    """What an error tells the developers of an app, by redirect or in JSON."""
    if "location" in answer.headers:
        return query_of(answer).get("error_description", "")
    if answer.headers.get("content-type") != "application/json":
        return ""
    told = answer.json()
    return str(told.get("error_description", "")) if isinstance(told, dict) else ""


def nothing_runs(answer: httpx.Response) -> None:
    """It is JSON, which no browser takes for a page, or it is a page in which markup is text and no script may run."""
    assert answer.status_code < 500, (answer.url, answer.text)
    assert SAYABLE.fullmatch(described_in(answer)), (answer.url, "RFC 6749, sections 4.1.2.1 and 5.2")
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/html"):
        assert not {"<script", "<img", "49"} & set(answer.text.lower().split()), answer.text
        assert ("<script" in answer.text, "<img" in answer.text) == (False, False), answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "script-src" not in answer.headers["content-security-policy"]
    elif answer.content:
        assert kind.startswith(("application/json", "application/problem+json", "text/css")), (answer.url, kind)
    if answer.content:
        assert "nosniff" == answer.headers.get("x-content-type-options"), answer.url


async def test_B26_A22_no_answer_is_kept_and_no_page_is_framed_whatever_is_sent(world: World) -> None:
    """But for what is the same for everybody, and says for how long."""
    cached = {"/oauth2/jwks": "public, max-age=60", "/assets/scopefold.css": "public, max-age=3600"}
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        for path in {route.path for route in auth_routes()}:
            for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"):
                answer = await http.request(method, filled(path))
                good = cached.get(of_issuer(path)) if answer.status_code == 200 else None
                assert (good or "no-store") == answer.headers["cache-control"], (method, path)
                if answer.headers.get("content-type", "").startswith("text/html"):
                    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
                    assert "DENY" == answer.headers["x-frame-options"]


async def test_A24_no_path_leads_on_to_the_host_that_a_request_names(world: World, with_path: World) -> None:
    """A slash too many is a wrong path: no redirect, least of all one that sends on what was posted."""
    for base, prefix in ((world, ""), (with_path, ""), (with_path, "/login")):
        async with httpx.AsyncClient(base_url=base.auth.url, headers={"host": "evil.example"}, timeout=20) as http:
            for method, path in calls(auth_routes()):
                for wrong in (f"{prefix}{filled(path)}/", f"{prefix}/{filled(path)}"):
                    answer = await http.request(method, f"{base.auth.url}{wrong}")
                    assert not 300 <= answer.status_code < 400, (method, wrong, answer.headers["location"])
            assert 200 == (await http.get(base.auth.url)).status_code, "the issuer's own address"
