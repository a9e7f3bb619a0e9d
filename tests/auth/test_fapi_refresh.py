"""The refresh token of a FAPI client stays: its credentials and its key protect it, not that it changes."""

import asyncio

import httpx

from tests.auth.oidc import oidc_idp
from tests.auth.world import World
from tests.conformance.fapi import SCOPES, Granted, fapi_client, granted, is_refused


async def with_refresh_token(world: World) -> tuple[Granted, str]:
    one = await granted(await fapi_client(world), scope=" ".join(SCOPES), idp_hint=await oidc_idp(world))
    return one, one.tokens["refresh_token"]


async def refreshed(one: Granted, token: str) -> httpx.Response:
    return await one.client.refresh(token)


async def test_fapi2_refresh_token_may_be_used_by_many_at_one_moment(world: World) -> None:
    """No use is a reuse, so nothing ends; each brings a token of its own, which is good."""
    one, token = await with_refresh_token(world)
    answers = await asyncio.gather(*(refreshed(one, token) for _ in range(10)))
    assert {200} == {answer.status_code for answer in answers}, [answer.text for answer in answers]
    fresh = [answer.json()["access_token"] for answer in answers]
    assert 10 == len(set(fresh))
    assert not any("refresh_token" in answer.json() for answer in answers)
    assert 200 == (await one.client.resource(fresh[-1])).status_code
    assert 200 == (await refreshed(one, token)).status_code


async def test_C14_fapi2_a_refresh_token_that_was_given_back_is_over(world: World) -> None:
    one, token = await with_refresh_token(world)
    answer = await one.client.post("/oauth2/revoke", {"token": token}, proof=None, assertion=None)
    assert 200 == answer.status_code, answer.text
    assert is_refused(await refreshed(one, token), "invalid_grant")
    assert 401 == (await one.client.resource(one.access)).status_code


async def test_B01_fapi2_a_code_that_comes_twice_ends_it(world: World) -> None:
    one, token = await with_refresh_token(world)
    assert is_refused(await one.client.redeem(one.code), "invalid_grant")
    assert is_refused(await refreshed(one, token), "invalid_grant")
