"""Token exchange (RFC 8693): a gateway gets the user's token at the IdP, or is told exactly why not."""

import asyncio

import httpx

from scopefold.contracts.events import TokenCleared, TokenInsufficient, TokenStored
from tests.auth.gateways import Gateway, access_token, atlassian, atlassian_seen, resource_of
from tests.auth.world import JIRA_SCOPES, Person, World, until
from tests.support.logs import CONFLUENCE, provisioned


async def calls(world: World, token: str) -> httpx.Response:
    """A call with an upstream token."""
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        return await http.get("/atlassian/me", headers={"authorization": f"Bearer {token}"})


async def test_a_gateway_gets_a_token_that_the_idp_takes(world: World, jira: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    answer = await gateway.exchange(token)
    assert 200 == answer.status_code, answer.text
    told = answer.json()
    assert "urn:ietf:params:oauth:token-type:access_token" == told["issued_token_type"]
    assert "Bearer" == told["token_type"]
    assert 3000 < told["expires_in"] <= 3600
    assert set(JIRA_SCOPES) == set(told["scope"].split())
    assert "no-store" == answer.headers["cache-control"]
    assert 200 == (await calls(world, told["access_token"])).status_code


async def test_many_at_once_renew_a_token_that_is_at_its_end_once(world: World, renewable: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, renewable)
    async with atlassian(world, access_seconds=1, refresh_leeway_seconds=0):
        token = await access_token(Person(world, "bob"), app, idp_hint=renewable)
    before = await atlassian_seen(world)
    answers = await asyncio.gather(*(gateway.exchange(token) for _ in range(20)))
    assert {200} == {one.status_code for one in answers}, answers[0].text
    assert 1 == len({one.json()["access_token"] for one in answers})
    after = await atlassian_seen(world)
    assert (before["renewals"] + 1, before["breaches"]) == (after["renewals"], after["breaches"])
    stored = [one for one in await world.said(TokenStored, renewable) if one.cause == "refresh"]
    assert stored[-1].predecessor is not None


async def test_C07_what_the_token_lacks_is_told_and_logged_and_the_idp_is_not_asked(world: World) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    token = await access_token(Person(world), app, idp_hint=idp)
    await world.publish(provisioned(f"jira-{idp}", (*JIRA_SCOPES, *CONFLUENCE[:1]), idp, "2.0.0"), by="provisioner")
    before = await atlassian_seen(world)
    answers = [await gateway.exchange(token) for _ in range(3)]
    assert {403} == {one.status_code for one in answers}
    told = answers[0].json()
    assert "insufficient_scope" == told["error"]
    assert CONFLUENCE[0] == told["scope"]
    assert (
        f"Stored IdP token missing required scopes: [{CONFLUENCE[0]}]. User must re-authenticate with step-up."
        == told["error_description"]
    )
    assert f"resource={resource_of(idp)}".replace(":", "%3A") in told["step_up_uri"]
    assert 'error="insufficient_scope"' in answers[0].headers["www-authenticate"]
    assert before == await atlassian_seen(world)
    assert 1 <= len(await world.said(TokenInsufficient, idp)) <= 2  # a minute may have passed between the calls
    covered = await gateway.exchange(token, scope=JIRA_SCOPES[0])
    assert 200 == covered.status_code, covered.text


async def test_a_refresh_token_that_is_dead_ends_in_consent_and_the_log_says_why(world: World, renewable: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, renewable)
    async with atlassian(world, access_seconds=1):
        token = await access_token(Person(world, "carol"), app, idp_hint=renewable)
    async with httpx.AsyncClient(base_url=world.sandbox.url) as http:
        gone = await http.post("/switches/atlassian/revoke", data={"client_id": "sandbox-atlassian", "user": "carol"})
        assert gone.status_code in (200, 303), gone.text
    answer = await gateway.exchange(token)
    assert (403, "insufficient_user_authentication") == (answer.status_code, answer.json()["error"])
    (event,) = await world.said(TokenCleared, renewable)
    assert "revoked" == event.reason
    assert 403 == (await gateway.exchange(token)).status_code


async def test_a_token_that_cannot_be_renewed_serves_to_its_end_and_then_ends_in_consent(world: World) -> None:
    idp = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, idp)
    async with atlassian(world, access_seconds=1):
        token = await access_token(Person(world, "bob"), app, idp_hint=idp)

    async def over() -> bool:
        return (await gateway.exchange(token)).status_code == 403

    await until(over)
    (event,) = await world.said(TokenCleared, idp)
    assert "expired" == event.reason
    (row,) = (await world.worklist(idp=idp))["items"]
    assert {"cleared"} == set(row["why"].values())
