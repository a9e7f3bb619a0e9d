"""Faults by switch, over HTTP: slow, failing, silent, and broken off after the refresh token was already rotated."""

import time

import httpx
import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.test_slack import SLACK
from tests.sandbox.visitor import ATLASSIAN
from tests.sandbox.walk import Place, Walk, json_of

OIDC = Place("oidc", "/authorize", "/token", "client_secret_basic")


@pytest.fixture
async def oidc(walk_at: WalkAt) -> Walk:
    return await walk_at(OIDC)


async def answers(walk: Walk) -> dict[str, int]:
    """What each place answers now."""
    return {
        "pages": (await walk.http.get(walk.authorize_address("openid"))).status_code,
        "token": (await walk.swap({})).status_code,
        "api": (await walk.http.get(f"{walk.prefix}/.well-known/openid-configuration")).status_code,
    }


GOOD = {"pages": 200, "token": 400, "api": 200}


@pytest.mark.parametrize("place", ["pages", "token", "api"])
async def test_so_many_calls_to_a_place_fail_and_the_next_is_good(oidc: Walk, place: str) -> None:
    await oidc.set("faults", at=place, server_errors=2, server_error_status=502)
    assert [{**GOOD, place: 502}, {**GOOD, place: 502}, GOOD] == [await answers(oidc) for _ in range(3)]
    assert 0 == (await oidc.settings())["faults"]["server_errors"]


async def test_failures_everywhere_strike_whatever_comes(oidc: Walk) -> None:
    await oidc.set("faults", server_errors=3)
    assert {"pages": 503, "token": 503, "api": 503} == await answers(oidc)


async def test_the_switches_themselves_are_never_struck(oidc: Walk) -> None:
    await oidc.set("faults", server_errors=10)
    assert 10 == (await oidc.settings())["faults"]["server_errors"]


async def test_a_slow_provider_answers_late_but_rightly(oidc: Walk) -> None:
    await oidc.set("faults", at="api", latency_ms=300)
    begun = time.monotonic()
    assert 200 == (await oidc.http.get("/oidc/jwks")).status_code
    assert 0.3 <= time.monotonic() - begun < 10
    await oidc.set("faults", at="token", latency_ms=15_000)
    begun = time.monotonic()
    assert 200 == (await oidc.http.get("/oidc/jwks")).status_code
    assert time.monotonic() - begun < 15


async def test_a_silent_provider_lets_its_caller_time_out_and_then_goes_on(oidc: Walk) -> None:
    await oidc.set("faults", at="token", hangs=1)
    async with httpx.AsyncClient(base_url=oidc.base, timeout=0.5) as impatient:
        with pytest.raises(httpx.ReadTimeout):
            await impatient.post("/oidc/token", data={"grant_type": "password"})
    assert 401 == (await oidc.http.post("/oidc/token", data={"grant_type": "password"})).status_code


@pytest.mark.parametrize("place", [OIDC, ATLASSIAN], ids=["oidc", "atlassian"])
async def test_a_lost_answer_to_a_refresh_leaves_the_caller_with_a_token_already_used(
    walk_at: WalkAt, place: Place
) -> None:
    walk = await walk_at(place)
    scope = "openid offline_access" if place is OIDC else "read:me offline_access"
    first = (await walk.tokens(scope))["refresh_token"]
    await walk.set("faults", dropped_refreshes=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await walk.renewed(first)
    assert 0 == (await walk.settings())["faults"]["dropped_refreshes"]
    # Within the leeway the caller may come again; then the token before that one is a breach, and all end.
    second = json_of(await walk.renewed(first))["refresh_token"]
    json_of(await walk.renewed(second))
    assert first != second
    assert {True} == {(await walk.renewed(token)).status_code in (400, 403) for token in (first, second)}


async def test_without_a_leeway_a_lost_answer_costs_the_grant(walk_at: WalkAt) -> None:
    slack = await walk_at(SLACK)
    await slack.set("switches", token_rotation=True)
    first = (await slack.tokens("commands"))["refresh_token"]
    await slack.set("faults", dropped_refreshes=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await slack.renewed(first)
    assert "invalid_refresh_token" == json_of(await slack.renewed(first))["error"]


async def test_a_refused_refresh_is_answered_and_takes_no_fault_off(oidc: Walk) -> None:
    await oidc.set("faults", dropped_refreshes=1)
    assert 400 == (await oidc.renewed("guess")).status_code
    assert 1 == (await oidc.settings())["faults"]["dropped_refreshes"]
    assert 200 == (await oidc.swap({"grant_type": "authorization_code", "code": await oidc.code("openid")})).status_code
