"""Tokens in the hands of whom they are not for: an app that is gone, resources that are gone, another issuer, two
credentials at once.
"""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.records import Client
from tests.attacks.stored import buckets_of
from tests.auth.gateways import Gateway, resource_of
from tests.auth.oidc import userinfo
from tests.auth.test_organisations import at_organisation
from tests.auth.test_refresh_tokens import is_refused
from tests.auth.test_requests import API, claims_of
from tests.auth.tokens import OFFLINE, REFRESHING, call, introspected, refresh, resource_server, tokens_of
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of
from tests.support.logs import deprovisioned

CLIENTS = "/api/v1/organizations/default/clients"


async def registered_anew(app: App, **changed: Any) -> None:
    """Remove the app, and register one of the same id."""
    body = {"client_id": app.id, "client_name": "An App", "redirect_uris": [APP_REDIRECT], **REFRESHING, **changed}
    assert 204 == (await app.world.admin("DELETE", f"{CLIENTS}/{app.id}")).status_code
    assert 201 == (await app.world.admin("POST", CLIENTS, json=body)).status_code


async def test_B23_what_a_removed_app_was_given_does_not_come_to_life_with_its_name(world: World, jira: str) -> None:
    app, server, alice = await world.register_client(**REFRESHING), await resource_server(world), Person(world)
    tokens = await tokens_of(app, jira, person=alice)
    code = await alice.log_in(app, idp_hint=jira, prompt="login")
    assert (await introspected(server, tokens["access_token"]))["active"]
    await registered_anew(app)
    assert is_refused(await refresh(app, tokens["refresh_token"]))
    assert is_refused(await app.swap(code))
    assert {"active": False} == await introspected(server, tokens["access_token"])
    again = await tokens_of(app, jira)
    assert (await introspected(server, again["access_token"]))["active"]
    assert 200 == (await refresh(app, again["refresh_token"])).status_code


async def registered_by_a_clock(world: World, app: App, off_by: timedelta) -> None:
    """As if a replica whose clock is wrong by so much had registered the app."""
    async with buckets_of(world) as found:
        stored = await found.clients.get(hashed(app.id), Client)
        assert stored is not None and stored[0].registered_at is not None
        changed = replace(stored[0], registered_at=stored[0].registered_at + off_by)
        await found.clients.update(hashed(app.id), changed, revision=stored[1])


async def test_B23_no_clock_says_whose_a_token_is(world: World, jira: str) -> None:
    """One replica's clock is ahead, another's behind: what an app was given is its own, and its successor's never."""
    app, server, alice = await world.register_client(**REFRESHING), await resource_server(world), Person(world)
    await registered_by_a_clock(world, app, timedelta(minutes=1))
    tokens = await tokens_of(app, jira, person=alice)
    assert (await introspected(server, tokens["access_token"]))["active"]
    tokens = (await refresh(app, tokens["refresh_token"])).json()
    code = await alice.log_in(app, idp_hint=jira, prompt="login")
    await registered_anew(app)
    await registered_by_a_clock(world, app, timedelta(hours=-1))
    assert is_refused(await app.swap(code))
    assert {"active": False} == await introspected(server, tokens["access_token"])
    assert is_refused(await refresh(app, tokens["refresh_token"]))
    again = await tokens_of(app, jira)
    assert (await introspected(server, again["access_token"]))["active"]


async def test_B23_what_a_clients_own_token_was_worth_ends_with_it_too(world: World) -> None:
    own = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
    app, server = (
        await world.register_client(**own, redirect_uris=[], scopes=["api:read"]),
        await resource_server(world),
    )
    await registered_by_a_clock(world, app, timedelta(minutes=1))
    form = {"grant_type": "client_credentials"}
    answer = await call(world, "/oauth2/token", form, auth=(app.id, str(app.secret)))
    assert 200 == answer.status_code, answer.text
    told = await introspected(server, answer.json()["access_token"])
    assert told["active"] and "client_registration" not in told
    await registered_anew(app)
    await registered_by_a_clock(world, app, timedelta(hours=-1))
    assert {"active": False} == await introspected(server, answer.json()["access_token"])


async def test_B23_a_replaced_app_keeps_what_it_was_given(world: World, jira: str) -> None:
    app = await world.register_client(**REFRESHING)
    tokens = await tokens_of(app, jira)
    body = {"client_name": "Another Name", "redirect_uris": [APP_REDIRECT], **REFRESHING}
    assert 200 == (await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)).status_code
    assert 200 == (await refresh(app, tokens["refresh_token"])).status_code


async def test_B21_a_resource_that_was_taken_from_an_app_is_in_no_later_token(world: World, jira: str) -> None:
    other = "https://other.example"
    app = await world.register_client(**REFRESHING, resources=[API, other])
    code = await Person(world).log_in(app, idp_hint=jira, scope=OFFLINE, resource=API)
    tokens = (await app.swap(code)).json()
    assert API == claims_of(tokens["access_token"])["aud"]
    body = {"client_name": "An App", "redirect_uris": [APP_REDIRECT], **REFRESHING, "resources": [other]}
    assert 200 == (await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)).status_code
    assert is_refused(await refresh(app, tokens["refresh_token"]), "invalid_target")
    body["resources"] = [API]
    assert 200 == (await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)).status_code
    assert API == claims_of((await refresh(app, tokens["refresh_token"])).json()["access_token"])["aud"]


async def test_B21_a_scope_that_was_taken_from_an_app_brings_no_claims_by_name(world: World, jira: str) -> None:
    app, by_name = (
        await world.register_client(**REFRESHING),
        '{"userinfo": {"email": null}, "id_token": {"email": null}}',
    )
    code = await Person(world).log_in(app, idp_hint=jira, scope="openid offline_access", claims=by_name)
    tokens = (await app.swap(code)).json()
    assert "email" in (await userinfo(world, tokens["access_token"])).json()
    body = {
        "client_name": "An App",
        "redirect_uris": [APP_REDIRECT],
        **REFRESHING,
        "scopes": ["openid", "offline_access"],
    }
    assert 200 == (await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)).status_code
    tokens = (await refresh(app, tokens["refresh_token"])).json()
    assert "email" not in claims_of(tokens["id_token"])
    assert {"sub"} == (await userinfo(world, tokens["access_token"])).json().keys()


async def test_B21_a_connector_that_is_gone_is_in_no_later_token(world: World) -> None:
    idp, app = await world.idp_with_jira(), await world.register_client(**REFRESHING)
    gone = resource_of(idp)
    code = await Person(world).log_in(app, scope=OFFLINE, resource=gone)
    tokens = (await app.swap(code)).json()
    await world.publish(deprovisioned(f"jira-{idp}", idp), by="provisioner")
    assert is_refused(await refresh(app, tokens["refresh_token"]), "invalid_target")


async def test_C10_C14_a_refresh_token_of_one_issuer_is_none_of_another(world: World, jira: str) -> None:
    app = await world.register_client(**{**REFRESHING, "token_endpoint_auth_method": "client_secret_basic"})
    mine, alice = (app.id, str(app.secret)), Person(world)
    for here, there in (("", "/default"), ("/default", "")):
        known = at_organisation(world, app) if here else app
        code = await alice.log_in(known, idp_hint=jira, scope=OFFLINE, prompt="login")
        form = {**app.swap_form(code), "client_id": None}
        token = (await call(world, f"{here}/oauth2/token", form, auth=mine)).json()["refresh_token"]

        async def told(place: str) -> Any:
            return (await call(world, f"{place}/oauth2/introspect", {"token": token}, auth=mine)).json()  # noqa: B023

        assert {"active": False} == await told(there)
        assert 200 == (await call(world, f"{there}/oauth2/revoke", {"token": token}, auth=mine)).status_code
        assert (True, f"{world.auth.url}{here}") == ((found := await told(here))["active"], found["iss"])
        assert 200 == (await call(world, f"{here}/oauth2/revoke", {"token": token}, auth=mine)).status_code
        assert {"active": False} == await told(here)


@pytest.mark.parametrize("order", [1, -1])
async def test_B13_C15_two_credentials_in_two_headers_are_none(guarded: World, order: int) -> None:
    """Whichever of them counts: a proxy in front may have looked at the other."""
    idp = await guarded.idp_with_jira()
    app, gateway = await guarded.register_client(), await Gateway.registered(guarded, idp)
    token = (await tokens_of(app, idp, scope="openid"))["access_token"]
    right = httpx.BasicAuth(gateway.app.id, str(gateway.app.secret))._auth_header
    admin = "Bearer an-admin-token-of-the-tests"
    requests: list[tuple[str, str, dict[str, Any], list[tuple[str, str]], str]] = [
        ("POST", "/oauth2/introspect", {"data": {"token": token}}, [("authorization", right)], "Basic eDp5"),
        ("POST", "/oauth2/revoke", {"data": {"token": "x"}}, [("authorization", right)], "Basic eDp5"),
        ("GET", "/oauth2/userinfo", {}, [("authorization", f"Bearer {token}")], "Bearer x"),
        ("GET", "/v1/idps", {}, [("authorization", admin)], "Bearer x"),
        ("GET", f"/forward-auth?resource={gateway.resource}", {}, [("x-gateway-authorization", right)], "Basic eDp5"),
        ("GET", f"/forward-auth?resource={gateway.resource}", {}, [("authorization", f"Bearer {token}")], "Bearer x"),
    ]
    async with httpx.AsyncClient(base_url=guarded.auth.url) as http:
        for method, path, sent, (header,), wrong in requests:
            more = [("x-gateway-authorization", right), ("authorization", f"Bearer {token}")]
            others = [one for one in more if "forward" in path and one[0] != header[0]]
            alone = await http.request(method, path, **sent, headers=[*others, header])
            assert 200 == alone.status_code, (path, alone.text)
            two = [header, (header[0], wrong)][::order]
            answer = await http.request(method, path, **sent, headers=[*others, *two])
            assert answer.status_code in (400, 401), (path, answer.text)


async def test_B23_a_code_dies_with_what_its_user_consented_to_as_a_refresh_token_does(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(**REFRESHING), Person(world)
    user = await alice.user(app, idp_hint=idp)
    code = query_of(await alice.browser.get(app.address(idp_hint=idp)))["code"]
    body = {"idp": idp, "users": [user], "reason": "a laptop was lost"}
    assert 200 == (await world.admin("POST", "/v1/tokens/clear", json=body)).status_code
    assert is_refused(await app.swap(code))
