"""oidcc-rp-initiated-logout-certification-test-plan."""

import re

import httpx

from tests.auth.oidc import LOGGED_OUT
from tests.auth.world import World, query_of
from tests.conformance.client import Login, login, metadata, unsigned

PLAN = "oidcc-rp-initiated-logout-certification-test-plan"


async def is_logged_in(one: Login) -> bool:
    """Would a silent request succeed?"""
    told = query_of(await one.person.browser.get(one.app.address(prompt="none")))
    assert "code" in told or told["error"] == "login_required"
    return "code" in told


async def log_out(one: Login, **asked: str | None) -> httpx.Response:
    """The request of the happy module, but for what is changed; None leaves a parameter out."""
    happy = {"id_token_hint": one.tokens["id_token"], "post_logout_redirect_uri": LOGGED_OUT, "state": "out"}
    params = {name: value for name, value in {**happy, **asked}.items() if value is not None}
    said = (await one.person.browser.get("/.well-known/openid-configuration")).json()
    return await one.person.browser.get(said["end_session_endpoint"], params=params)


async def refused(one: Login, **asked: str | None) -> None:
    """An error page, no redirect, and the user stays logged in."""
    answer = await log_out(one, **asked)
    assert (400, False) == (answer.status_code, "location" in answer.headers)
    assert answer.headers["content-type"].startswith("text/html")
    assert await is_logged_in(one)


async def asks_first(one: Login, **asked: str | None) -> None:
    """Without a hint, the user is asked, is logged out by their own click, and is redirected nowhere."""
    page = await log_out(one, id_token_hint=None, **asked)
    assert 200 == page.status_code
    assert await is_logged_in(one)
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    done = await one.person.browser.post("/account/logout", data={"form_token": found[1]})
    assert (200, True) == (done.status_code, "You are logged out" in done.text)
    assert not await is_logged_in(one)


async def test_oidcc_rp_initiated_logout_discovery_endpoint_verification(world: World) -> None:
    said = await metadata(world)
    assert said["end_session_endpoint"].startswith(f"{world.auth.url}/")
    assert world.auth.url == said["issuer"]


async def test_oidcc_rp_initiated_logout(world: World) -> None:
    one = await login(world)
    answer = await log_out(one)
    assert answer.headers["location"].startswith(f"{LOGGED_OUT}?")
    assert {"state": "out"} == query_of(answer)
    assert not await is_logged_in(one)


async def test_oidcc_rp_initiated_logout_bad_post_logout_redirect_uri(world: World) -> None:
    await refused(await login(world), post_logout_redirect_uri=f"{LOGGED_OUT}/elsewhere")


async def test_oidcc_rp_initiated_logout_modified_id_token_hint(world: World) -> None:
    """The claims are right, and alg is none."""
    one = await login(world)
    await refused(one, id_token_hint=unsigned({"alg": "none"}, one.claims))


async def test_oidcc_rp_initiated_logout_bad_id_token_hint(world: World) -> None:
    await refused(await login(world), id_token_hint="this is no ID token")


async def test_oidcc_rp_initiated_logout_no_id_token_hint(world: World) -> None:
    await asks_first(await login(world))


async def test_oidcc_rp_initiated_logout_no_params(world: World) -> None:
    await asks_first(await login(world), post_logout_redirect_uri=None, state=None)


async def test_oidcc_rp_initiated_logout_only_state(world: World) -> None:
    await asks_first(await login(world), post_logout_redirect_uri=None)


async def test_oidcc_rp_initiated_logout_no_post_logout_redirect_uri(world: World) -> None:
    one = await login(world)
    answer = await log_out(one, post_logout_redirect_uri=None)
    assert (200, True) == (answer.status_code, "You are logged out" in answer.text)
    assert not await is_logged_in(one)


async def test_oidcc_rp_initiated_logout_no_state(world: World) -> None:
    one = await login(world)
    assert LOGGED_OUT == (await log_out(one, state=None)).headers["location"]
    assert not await is_logged_in(one)


async def test_oidcc_rp_initiated_logout_query_added_to_post_logout_redirect_uri(world: World) -> None:
    await refused(await login(world), post_logout_redirect_uri=f"{LOGGED_OUT}?foo=bar")
