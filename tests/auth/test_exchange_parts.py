"""Which of a user's tokens a call gets where there are several. What was granted counts, not what was asked (F14)."""

import httpx
import pytest

from scopefold.contracts.events import TokenInsufficient
from tests.auth.gateways import (
    Gateway,
    at_its_end,
    at_stand_in,
    atlassian,
    logged_in,
    resource_of,
    subject_of,
    visitors_token,
)
from tests.auth.providers import Visitor, registered_at, row_of, switch
from tests.auth.world import World
from tests.support.logs import provisioned

GMAIL = "https://www.googleapis.com/auth/gmail.readonly"
DRIVE = "https://www.googleapis.com/auth/drive.file"
IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"

# several tokens: each connector gets its own


async def test_each_connector_at_microsoft_gets_the_token_of_its_resource(world: World) -> None:
    idp = await registered_at(world, "microsoft", "Mail.Read", "offline_access")
    await world.publish(provisioned(f"imap-{idp}", (IMAP, "offline_access"), idp), by="provisioner")
    await world.publish(provisioned(f"both-{idp}", (IMAP, "Mail.Read"), idp), by="provisioner")
    imap, both = resource_of(idp, "imap"), resource_of(idp, "both")
    gateway = await Gateway.registered(world, idp, imap, both, connector="api")
    token = await visitors_token(Visitor(world), await world.register_client(), idp)
    user = subject_of(token)
    for generation in (1, 2):
        graph, outlook = [(await gateway.exchange(token, resource=one)).json() for one in (gateway.resource, imap)]
        assert [200, 401] == [
            (await at_stand_in(world, "microsoft", "v1.0/me/messages", one["access_token"])).status_code
            for one in (graph, outlook)
        ]
        assert (IMAP, True) == (outlook["scope"], "Mail.Read" in graph["scope"].split())
        for scope, expected in ((IMAP, outlook), ("Mail.Read", graph)):
            named = await gateway.exchange(token, resource=both, scope=scope)
            assert expected["access_token"] == named.json()["access_token"]
        whole = await gateway.exchange(token, resource=both)
        assert (400, "invalid_scope") == (whole.status_code, whole.json()["error"])
        assert 2 * generation - 1 == (await row_of(world, user, idp)).generation
        await at_its_end(world, user, idp)


async def test_C07_a_resource_that_gave_no_token_is_told_by_its_scopes(world: World) -> None:
    idp = await registered_at(world, "microsoft", IMAP, "offline_access")
    await world.publish(provisioned(f"mail-{idp}", ("Mail.Read",), idp), by="provisioner")
    gateway = await Gateway.registered(world, idp, resource_of(idp, "mail"), connector="api")
    await switch(world, "microsoft", refresh_needs="53003")
    try:
        token = await visitors_token(Visitor(world, "bob"), await world.register_client(), idp)
    finally:
        await switch(world, "microsoft")
    assert 200 == (await gateway.exchange(token)).status_code
    answer = await gateway.exchange(token, resource=resource_of(idp, "mail"))
    assert (403, "insufficient_scope", "Mail.Read") == (answer.status_code, *_told(answer))
    assert [("Mail.Read",)] == [one.missing for one in await world.said(TokenInsufficient, idp)]


def _told(answer: httpx.Response) -> tuple[str, str]:
    return answer.json()["error"], answer.json()["scope"]


@pytest.mark.parametrize("rotates", [False, True])
async def test_each_connector_at_slack_gets_the_bots_token_or_the_users(world: World, rotates: bool) -> None:
    await switch(world, "slack", token_rotation=rotates)
    try:
        idp = await registered_at(world, "slack", "chat:write")
        await world.publish(provisioned(f"search-{idp}", ("user:search:read",), idp), by="provisioner")
        search = resource_of(idp, "search")
        gateway = await Gateway.registered(world, idp, search, connector="api")
        token = await visitors_token(Visitor(world, "carol"), await world.register_client(), idp)
        for _ in range(3):
            answers = [await gateway.exchange(token, resource=one) for one in (gateway.resource, search)]
            assert [200, 200] == [one.status_code for one in answers], [one.text for one in answers]
            told = [
                (await at_stand_in(world, "slack", "api/auth.test", one.json()["access_token"])).json()
                for one in answers
            ]
            assert ["U0SANDBOXBOT", "U0SANDBOX3"] == [one["user_id"] for one in told]
            assert "chat:write" in answers[0].json()["scope"].split()
            assert "user:search:read" == answers[1].json()["scope"]
            if rotates:
                await at_its_end(world, subject_of(token), idp)
    finally:
        await switch(world, "slack")


# what was granted, not what was asked


async def test_F14_fewer_are_missing_and_the_rest_serves(world: World) -> None:
    idp = await registered_at(world, "google", GMAIL, DRIVE)
    gateway = await Gateway.registered(world, idp, connector="api")
    token = await visitors_token(Visitor(world, "dave"), await world.register_client(), idp, untick=[DRIVE])
    answer = await gateway.exchange(token)
    assert (403, "insufficient_scope", DRIVE) == (answer.status_code, *_told(answer))
    assert 200 == (await gateway.exchange(token, scope=GMAIL)).status_code


async def test_F14_where_the_idp_does_not_say_a_call_may_try_and_the_answer_names_no_scope(world: World) -> None:
    await switch(world, "oidc", echo_scope="never")
    try:
        idp = await registered_at(world, "oidc", "api:read", "offline_access")
        gateway = await Gateway.registered(world, idp, connector="api")
        token = await visitors_token(Visitor(world), await world.register_client(), idp)
        for generation in (1, 2):
            answer = await gateway.exchange(token)
            assert (200, False) == (answer.status_code, "scope" in answer.json())
            assert generation == (await row_of(world, subject_of(token), idp)).generation
            await at_its_end(world, subject_of(token), idp)
    finally:
        await switch(world, "oidc")


async def test_F14_in_whatever_order(world: World, renewable: str) -> None:
    async with atlassian(world, scope_order="sorted", echo_offline_access=True):
        gateway, token, user = await logged_in(world, renewable, "bob")
        for _ in range(2):
            assert 200 == (await gateway.exchange(token)).status_code
            await at_its_end(world, user, renewable)
