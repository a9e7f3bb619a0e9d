"""Logins through auth at the stand-ins of every kind of provider: what is kept, and what the log says of it."""

from contextlib import aclosing

import httpx
import pytest

from scopefold.auth.web.outgoing import Http
from scopefold.auth.web.upstream import UpstreamFailed, exchange
from scopefold.consent.reconsent import replay
from scopefold.contracts.events import AuthorizationFailed, EndpointOverrides, IdpRegistered, TokenStored
from tests.auth.providers import Visitor, registered_at, revoke_at, row_of, stand_in, switch, told_of
from tests.auth.world import APP_REDIRECT, World, query_of, told_by
from tests.support.logs import log_of

IMAP = "https://outlook.office.com/IMAP.AccessAsUser.All"
GMAIL = "https://www.googleapis.com/auth/gmail.readonly"
DRIVE = "https://www.googleapis.com/auth/drive.file"


async def test_microsoft_gives_a_token_for_each_resource(world: World) -> None:
    idp = await registered_at(world, "microsoft", IMAP, "Mail.Read", "offline_access")
    app, alice = await world.register_client(), Visitor(world)
    user = await alice.user(app, idp)
    assert {IMAP, "Mail.Read", "openid", "offline_access"} <= set(alice.sent["scope"].split())
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    outlook, graph = row.parts
    assert ["https://outlook.office.com/", "https://graph.microsoft.com/"] == [outlook.part, graph.part]
    assert ((IMAP,), True) == (outlook.scopes, "Mail.Read" in (graph.scopes or ()))
    assert row.access_token == outlook.access_token != graph.access_token
    assert (None, None) == (outlook.refresh_token, graph.refresh_token)
    assert row.refresh_token and row.access_expires_at == min(
        one.access_expires_at for one in row.parts if one.access_expires_at
    )
    assert {IMAP, "Mail.Read"} <= set(event.granted or ())
    assert ("echoed", ("identity", "refresh_token")) == (event.known_by, event.evidence)
    assert [] == (await world.worklist(idp=idp))["items"]
    assert ("alice@sandbox.example", "Alice Arden") == (row.identity.email, row.identity.name)
    for token, path, status in ((graph, "v1.0/me/messages", 200), (outlook, "v1.0/me/messages", 401)):
        async with httpx.AsyncClient(base_url=f"{world.sandbox.url}/microsoft/") as http:
            answer = await http.get(path, headers={"authorization": f"Bearer {token.access_token}"})
        assert status == answer.status_code
    again = await alice.browser.get(app.address(idp_hint=idp))
    assert again.headers["location"].startswith(APP_REDIRECT)


async def test_what_one_resource_refuses_is_missing_and_the_rest_is_kept(world: World) -> None:
    idp = await registered_at(world, "microsoft", IMAP, "Mail.Read", "offline_access")
    await switch(world, "microsoft", refresh_needs="53003")
    try:
        user = await Visitor(world, "bob").user(await world.register_client(), idp)
    finally:
        await switch(world, "microsoft")
    row = await row_of(world, user, idp)
    assert [((IMAP,), row.access_token)] == [(one.scopes, one.access_token) for one in row.parts]
    assert (IMAP,) == (await told_of(world, idp)).granted
    (item,) = (await world.worklist(idp=idp))["items"]
    assert ["Mail.Read"] == [lack["scope"] for lack in item["missing"]]


async def test_microsofts_scopes_of_one_resource_take_one_token(world: World) -> None:
    idp = await registered_at(world, "microsoft", "Mail.Read")
    user = await Visitor(world).user(await world.register_client(), idp)
    row = await row_of(world, user, idp)
    assert (["https://graph.microsoft.com/"], None) == ([one.part for one in row.parts], row.refresh_token)


async def test_google_grants_what_was_left_ticked(world: World) -> None:
    await revoke_at(world, "google", "alice")  # what she gave before, which would be given again
    idp = await registered_at(world, "google", GMAIL, DRIVE)
    user = await Visitor(world).user(await world.register_client(), idp, untick=[DRIVE])
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    assert (True, False) == (GMAIL in (event.granted or ()), DRIVE in (event.granted or ()))
    assert "https://www.googleapis.com/auth/userinfo.email" in (event.granted or ())
    assert (GMAIL in event.requested, DRIVE in event.requested, ()) == (True, True, row.parts)
    assert row.refresh_token and "alice@sandbox.example" == row.identity.email
    (item,) = (await world.worklist(idp=idp))["items"]
    assert [DRIVE] == [lack["scope"] for lack in item["missing"]]


@pytest.mark.parametrize("rotates", [False, True])
async def test_slack_gives_the_bots_token_and_the_users(world: World, rotates: bool) -> None:
    await switch(world, "slack", token_rotation=rotates)
    idp = await registered_at(world, "slack", "channels:read", "chat:write", "user:search:read")
    user = await Visitor(world, "carol").user(await world.register_client(), idp)
    await switch(world, "slack")
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    bot, own = row.parts
    assert (("bot", "user"), row.access_token) == ((bot.part, own.part), bot.access_token)
    assert bot.access_token != own.access_token
    assert {"channels:read", "chat:write"} <= set(bot.scopes or ())
    assert ("user:search:read",) == own.scopes
    assert {"channels:read", "chat:write", "user:search:read"} <= set(event.granted or ())
    assert (rotates, rotates) == (bot.refresh_token is not None, own.refresh_token is not None)
    assert rotates == (bot.refresh_token != own.refresh_token)
    assert "U0SANDBOX3" == row.identity.subject
    assert [] == (await world.worklist(idp=idp))["items"]


async def test_slack_without_a_bot_gives_the_users_token_alone(world: World) -> None:
    idp = await registered_at(world, "slack", "user:search:read")
    user = await Visitor(world, "dave").user(await world.register_client(), idp)
    row = await row_of(world, user, idp)
    assert [("user", row.access_token)] == [(one.part, one.access_token) for one in row.parts]


async def test_github_parts_scopes_with_commas(world: World) -> None:
    idp = await registered_at(world, "github", "repo", "gist")
    user = await Visitor(world).user(await world.register_client(), idp)
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    assert {"repo", "gist", "read:user"} == set(event.granted or ())
    assert (None, None, ()) == (row.refresh_token, row.access_expires_at, row.parts)
    assert "583000001" == row.identity.subject
    assert [] == (await world.worklist(idp=idp))["items"]


async def test_bitbucket_takes_its_client_by_basic(world: World) -> None:
    idp = await registered_at(world, "bitbucket", "repository", "pullrequest")
    user = await Visitor(world).user(await world.register_client(), idp)
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    assert {"account", "pullrequest"} <= set(event.granted or ())
    assert row.refresh_token and "Alice Arden" == row.identity.name
    assert [] == (await world.worklist(idp=idp))["items"]


@pytest.mark.parametrize("by", ["the issuer", "the discovery address"])
async def test_openid_connect_by_discovery_alone(world: World, by: str) -> None:
    issuer = f"{world.sandbox.url}/oidc"
    how = {"endpoints": {}, "parameters": {"issuer": issuer}} if by == "the issuer" else {}
    idp = await registered_at(world, "oidc", "api:read", "offline_access", **how)
    app, alice = await world.register_client(), Visitor(world)
    shown = (await world.admin("GET", f"/v1/idps/{idp}")).json()["endpoints"]
    assert {
        "authorize": f"{issuer}/authorize",
        "token": f"{issuer}/token",
        "identity": f"{issuer}/userinfo",
        "discovery": f"{issuer}/.well-known/openid-configuration",
        "issuer": issuer,
    } == shown
    user = await alice.user(app, idp)
    row, event = await row_of(world, user, idp), await told_of(world, idp)
    assert {"openid", "api:read", "offline_access"} <= set(event.granted or ())
    assert row.refresh_token and "sandbox-user-0001" == row.identity.subject


async def test_F03_an_answer_that_names_another_issuer_redeems_nothing(world: World) -> None:
    """RFC 9207, section 2.4; the right one was accepted in the logins above, for this stand-in names itself."""
    idp = await registered_at(world, "oidc", "api:read")
    app, alice = await world.register_client(), Visitor(world)
    back = httpx.URL(await alice.callback(app, idp))
    assert f"{world.sandbox.url}/oidc" == back.params["iss"]
    told = told_by(await alice.browser.get(str(back.copy_set_param("iss", "https://evil.example"))))
    assert "server_error" == told["error"]
    (failed,) = await world.said(AuthorizationFailed, idp)
    assert ("authorize", "issuer_mismatch") == (failed.stage, failed.error)


async def test_what_an_idp_says_in_words_is_known_but_told_to_no_log(world: World) -> None:
    told = await stand_in(world, "microsoft")
    token = f"{world.sandbox.url}/microsoft/common/oauth2/v2.0/token"
    endpoints = EndpointOverrides(token=token, **told["endpoints"])
    event = IdpRegistered(idp="ms", profile="microsoft", client_id=told["client_id"], endpoints=endpoints)
    idp = replay(log_of(event)).scopes.idps["ms"]
    async with aclosing(Http()) as http:
        with pytest.raises(UpstreamFailed) as failed:
            await exchange(
                http,
                idp,
                client_secret="wrong",
                code="c",
                verifier="v" * 43,
                redirect_uri="https://us.example",
                requested=("openid",),
            )
    failure = failed.value
    assert ("token", "invalid_client", 401) == (failure.stage, failure.error, failure.status)
    assert "AADSTS7000215" in failure.description
    assert "AADSTS" not in f"{failure}{failure!r}"
    name = await registered_at(world, "microsoft", "Mail.Read", client_secret="wrong")
    answer = await (alice := Visitor(world)).browser.get(await alice.callback(await world.register_client(), name))
    assert "AADSTS" not in answer.text
    (event,) = await world.said(AuthorizationFailed, name)
    assert ("invalid_client", "microsoft.wrong-secret") == (event.error, event.diagnosis)
    assert "AADSTS" not in world.auth.said() + str(await world.events())


async def test_a_client_that_insists_on_consent_is_always_sent_upstream(world: World) -> None:
    idp = await registered_at(world, "oidc", "api:read")
    app, alice = await world.register_client(), Visitor(world)
    await alice.user(app, idp)
    assert (await alice.browser.get(app.address(idp_hint=idp))).headers["location"].startswith(APP_REDIRECT)
    answer = await alice.browser.get(app.address(idp_hint=idp, prompt="consent"))
    assert answer.headers["location"].startswith(f"{world.sandbox.url}/oidc/authorize?")
    assert "consent" == query_of(answer)["prompt"]
    await alice.user(app, idp, prompt="consent")
    assert [1, 2] == [event.generation for event in await world.said(TokenStored, idp)]
