"""What scripts on pages of other sites may read, and what they may not."""

import httpx
import pytest

from scopefold.auth.web.admin_routes import CLIENTS
from scopefold.auth.web.routes import CROSS_ORIGIN, OAUTH
from tests.auth.world import Person, World

ORIGIN = "https://spa.example"
WELL_KNOWN = ("openid-configuration", "oauth-authorization-server", "oauth-protected-resource")
ALLOW = "access-control-allow-origin"
NOT_FOR_SCRIPTS = [
    *(path for path, _, _ in OAUTH),
    *("/", "/healthz", "/readyz", "/openapi.json", "/v1/idps", "/v1/reconsent", "/v1/keys", CLIENTS, "/nothing"),
]


def filled(path: str) -> str:
    return path.replace("{org}", "default").replace("{", "").replace("}", "")


def preflight(method: str, headers: str) -> dict[str, str]:
    return {
        "origin": ORIGIN,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }


def named(answer: httpx.Response) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("organisation", ["", "/default"])
@pytest.mark.parametrize(("path", "methods"), [(path, methods) for path, _, methods in CROSS_ORIGIN])
async def test_every_site_may_read_what_an_app_in_a_browser_calls(
    world: World, organisation: str, path: str, methods: list[str]
) -> None:
    async with httpx.AsyncClient(base_url=f"{world.auth.url}{organisation}") as http:
        asked = await http.options(path, headers=preflight(methods[-1], "authorization,content-type,dpop"))
        assert (204, "*") == (asked.status_code, asked.headers[ALLOW])
        assert methods == asked.headers["access-control-allow-methods"].split(", ")
        assert {"Authorization", "Content-Type", "DPoP"} < set(
            asked.headers["access-control-allow-headers"].split(", ")
        )
        for headers in ({}, {"origin": ORIGIN}, {"origin": "null"}):
            answer = await http.request(methods[0], path, headers=headers)
            assert "*" == answer.headers[ALLOW], (headers, answer.status_code)
            assert "DPoP-Nonce" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("name", WELL_KNOWN)
@pytest.mark.parametrize("path", ["", "/default", "/nobody"])
async def test_every_site_may_read_the_metadata_and_that_there_is_none(world: World, name: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        answer = await http.get(f"/.well-known/{name}{path}", headers={"origin": ORIGIN})
    assert (404 if path == "/nobody" else 200, "*") == (answer.status_code, answer.headers[ALLOW])


@pytest.mark.parametrize("path", NOT_FOR_SCRIPTS)
async def test_no_other_site_may_read_pages_nor_what_servers_call(world: World, path: str) -> None:
    async with world.auth.client() as http:
        for method in ("GET", "POST"):
            assert set() == named(await http.request(method, filled(path), headers={"origin": ORIGIN}))
        asked = await http.options(filled(path), headers=preflight("POST", "authorization"))
    assert (set(), True) == (named(asked), asked.status_code >= 400)


async def test_a_session_opens_nothing_to_the_script_of_another_site(world: World, jira: str) -> None:
    """What is readable everywhere must not depend on who sits in front of the browser."""
    alice = Person(world)
    await alice.log_in(await world.register_client(), idp_hint=jira)
    assert list(alice.browser.jar.jar), "she has a session"
    for path, _, methods in CROSS_ORIGIN:
        hers = await alice.browser.request(methods[0], path)
        async with httpx.AsyncClient(base_url=world.auth.url) as http:
            anybodys = await http.request(methods[0], path, headers={"accept": hers.request.headers["accept"]})
        assert (anybodys.status_code, anybodys.text) == (hers.status_code, hers.text), path
        assert "set-cookie" not in hers.headers
