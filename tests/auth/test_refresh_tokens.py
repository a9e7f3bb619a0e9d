"""Refresh tokens and codes are good for one use: the second ends everything that came of the first."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nats
from joserfc import jwt
from joserfc.jwk import KeySet

from scopefold.auth.core.authentication import ACR
from scopefold.auth.store import buckets
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.records import Code
from scopefold.contracts.events import GrantRevoked
from tests.auth.providers import Visitor, registered_at, revoke_at
from tests.auth.test_log_and_vault import vault_of
from tests.auth.test_providers import DRIVE, GMAIL
from tests.auth.tokens import OFFLINE, REFRESHING, call, introspected, refresh, resource_server, tokens_of
from tests.auth.world import (
    APP_REDIRECT,
    VERIFIER,
    App,
    Person,
    World,
    auth,
    challenge_of,
    new_world,
    query_of,
    status_becomes,
)


async def app_of(world: World, **changed: Any) -> tuple[str, App]:
    return await world.idp_with_jira(), await world.register_client(**{**REFRESHING, **changed})


def is_refused(answer: httpx.Response, error: str = "invalid_grant") -> bool:
    told = (answer.status_code, answer.json()["error"], answer.headers["cache-control"])
    return told == (400, error, "no-store")


async def reasons(world: World, idp: str) -> list[str]:
    return [event.reason for event in await world.said(GrantRevoked, idp)]


async def test_oidcc_refresh_token_every_use_brings_new_tokens_of_the_same_login(world: World) -> None:
    idp, app = await app_of(world)
    first = await tokens_of(app, idp)
    second = await refresh(app, first["refresh_token"])
    third = await refresh(app, second.json()["refresh_token"])
    assert [200, 200] == [second.status_code, third.status_code], (second.text, third.text)
    assert 3 == len({first["refresh_token"], second.json()["refresh_token"], third.json()["refresh_token"]})
    assert OFFLINE == third.json()["scope"]
    was = await app.verified(first["id_token"])
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        keys = (await http.get("/oauth2/jwks")).json()
    now = jwt.decode(third.json()["id_token"], KeySet.import_key_set(keys), algorithms=["RS256"]).claims
    same = ("iss", "sub", "aud", "auth_time")
    assert [was[name] for name in same] == [now[name] for name in same]
    assert "nonce" not in now
    assert [] == await reasons(world, idp)


async def test_B17_a_refresh_token_that_comes_twice_ends_its_family(world: World) -> None:
    idp, app = await app_of(world)
    first = await tokens_of(app, idp)
    second = (await refresh(app, first["refresh_token"])).json()
    assert is_refused(await refresh(app, first["refresh_token"]))
    assert is_refused(await refresh(app, second["refresh_token"])), "whoever has the newest loses it, too"
    server = await resource_server(world)
    for token in (first["access_token"], second["access_token"]):
        assert {"active": False} == await introspected(server, token)
    assert is_refused(await refresh(app, first["refresh_token"]))
    assert ["refresh-token-reused"] == await reasons(world, idp), "the log is told once"


async def test_B20_a_grandparent_is_as_used_up_as_a_parent(world: World) -> None:
    idp, app = await app_of(world)
    first = await tokens_of(app, idp)
    second = (await refresh(app, first["refresh_token"])).json()
    third = (await refresh(app, second["refresh_token"])).json()
    assert is_refused(await refresh(app, first["refresh_token"]))
    assert is_refused(await refresh(app, third["refresh_token"]))


async def test_B02_B18_of_50_parallel_uses_at_two_replicas_one_succeeds_and_all_ends(
    world: World, tmp_path: Path
) -> None:
    """Codes and refresh tokens alike."""
    idp, app = await app_of(world)
    server = await resource_server(world)
    spent = await tokens_of(app, idp)
    code = await Person(world).log_in(app, idp_hint=idp, scope=OFFLINE)
    by_refresh = {"grant_type": "refresh_token", "refresh_token": spent["refresh_token"], "client_id": app.id}
    with auth(tmp_path, **world.settings) as other:
        await status_becomes(other, 200)
        for form in (app.swap_form(code), by_refresh):
            async with httpx.AsyncClient(timeout=30) as http:
                urls = [f"{one.url}/oauth2/token" for one in (world.auth, other)] * 25
                answers = await asyncio.gather(*(http.post(url, data=form) for url in urls))
            assert [200] + [400] * 49 == sorted(answer.status_code for answer in answers)
            assert {"invalid_grant"} == {one.json()["error"] for one in answers if one.status_code == 400}
            (won,) = [answer.json() for answer in answers if answer.status_code == 200]
            assert {"active": False} == await introspected(server, won["access_token"])
            assert is_refused(await refresh(app, won["refresh_token"]))
    assert ["code-reused", "refresh-token-reused"] == await reasons(world, idp)


async def test_B01_a_code_that_comes_twice_ends_what_the_first_time_brought(world: World) -> None:
    """oidcc-codereuse"""
    idp, app = await app_of(world)
    server, alice = await resource_server(world), Person(world)
    code = await alice.log_in(app, idp_hint=idp, scope=OFFLINE)
    first = (await app.swap(code)).json()
    assert (await introspected(server, first["access_token"]))["active"]
    assert is_refused(await app.swap(code, code_verifier="w" * 64)), "it is reuse whatever else is wrong with it"
    assert {"active": False} == await introspected(server, first["access_token"])
    assert is_refused(await refresh(app, first["refresh_token"]))
    assert ["code-reused"] == await reasons(world, idp)


async def test_B03_B22_what_another_client_presents_is_refused_and_ends_nothing(world: World) -> None:
    idp, app = await app_of(world)
    _, other = await app_of(world)
    code = await Person(world).log_in(app, idp_hint=idp, scope=OFFLINE)
    first = (await app.swap(code)).json()
    assert is_refused(await other.swap(code))
    assert is_refused(await refresh(other, first["refresh_token"]))
    second = await refresh(app, first["refresh_token"])
    assert 200 == second.status_code
    assert is_refused(await refresh(other, first["refresh_token"]))
    assert 200 == (await refresh(app, second.json()["refresh_token"])).status_code
    assert [] == await reasons(world, idp)


async def test_B22_a_confidential_client_must_authenticate_to_refresh(world: World) -> None:
    idp, app = await app_of(world, token_endpoint_auth_method="client_secret_basic")
    form = app.swap_form(await Person(world).log_in(app, idp_hint=idp, scope=OFFLINE), client_id=None)
    mine = (app.id, str(app.secret))
    first = (await call(world, "/oauth2/token", form, auth=mine)).json()
    by_refresh = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    for more, auth_ in (({"client_id": app.id}, None), ({}, (app.id, "wrong"))):
        answer = await call(world, "/oauth2/token", {**by_refresh, **more}, auth=auth_)
        assert (401, "invalid_client") == (answer.status_code, answer.json()["error"])
    assert 200 == (await call(world, "/oauth2/token", by_refresh, auth=mine)).status_code


async def test_B21_a_refresh_narrows_and_never_widens(world: World) -> None:
    idp, app = await app_of(world)
    first = await tokens_of(app, idp, scope="openid offline_access")
    assert is_refused(await refresh(app, first["refresh_token"], scope="openid email"), "invalid_scope")
    narrow = await refresh(app, first["refresh_token"], scope="openid")
    assert (200, "openid") == (narrow.status_code, narrow.json()["scope"]), "who is refused keeps the token"
    again = await refresh(app, narrow.json()["refresh_token"])
    assert "openid offline_access" == again.json()["scope"], "what was granted stays granted (RFC 6749, section 6)"


async def test_a_refresh_token_is_only_for_clients_that_registered_the_grant(world: World) -> None:
    idp, app = await app_of(world, grant_types=["authorization_code"])
    tokens = await tokens_of(app, idp)
    assert "refresh_token" not in tokens
    refused = await refresh(app, f"rt_{'h' * 43}.{'s' * 43}")
    assert (400, "unauthorized_client") == (refused.status_code, refused.json()["error"])


async def test_what_is_no_refresh_token_is_refused(world: World) -> None:
    idp, app = await app_of(world)
    token = (await tokens_of(app, idp))["refresh_token"]
    handle, secret = token.split(".")
    wrong = ["", "x", f"{handle}.", handle, f"rt_{'h' * 43}.{secret}", "rt_é.x", token + "\n", "x" * 200_000, "\x00"]
    for text in wrong:
        answer = await refresh(app, text)
        assert (400, True) == (answer.status_code, answer.json()["error"] in ("invalid_grant", "invalid_request")), text
    assert 200 == (await refresh(app, token)).status_code, "none of this is the family's"


async def test_B23_nothing_is_refreshed_for_a_user_whose_consent_is_gone(world: World) -> None:
    idp, app = await app_of(world)
    tokens = await tokens_of(app, idp)
    user = (await app.verified(tokens["id_token"]))["sub"]
    nc = await nats.connect(world.bus.url)
    bucket = (await buckets.connect(nc.jetstream())).vault
    found = await (await vault_of(nc)).token(user, idp)
    assert found is not None
    await bucket.take(f"token.{user}.{idp}", found[1])
    await nc.close()
    assert is_refused(await refresh(app, tokens["refresh_token"]))


async def test_B23_G10_an_operator_ends_all_that_apps_hold_of_a_user(world: World) -> None:
    idp, app = await app_of(world)
    server, person = await resource_server(world), Person(world)
    tokens = await tokens_of(app, idp, person=person)
    address = app.address(idp_hint=idp, scope=OFFLINE)
    waiting = query_of(await person.browser.get(address))["code"]
    user = (await app.verified(tokens["id_token"]))["sub"]
    assert 204 == (await world.admin("DELETE", f"/v1/users/{user}/grants")).status_code
    assert {"active": False} == await introspected(server, tokens["access_token"])
    assert is_refused(await refresh(app, tokens["refresh_token"]))
    assert is_refused(await app.swap(waiting)), "a code that was out already is no way round"
    again = (await app.swap(query_of(await person.browser.get(address))["code"])).json()
    assert 200 == (await refresh(app, again["refresh_token"])).status_code, "what begins later is not meant"


async def test_B23_what_apps_were_granted_ends_with_the_idp_and_stays_ended_where_it_is_registered_anew(
    world: World,
) -> None:
    idp, app, server = (
        await world.idp_with_jira(),
        await world.register_client(**REFRESHING),
        await resource_server(world),
    )
    alice = Person(world)
    tokens = await tokens_of(app, idp, person=alice)
    waiting = query_of(await alice.browser.get(app.address(idp_hint=idp, scope=OFFLINE)))["code"]
    assert 200 == (await world.admin("POST", f"/v1/idps/{idp}/removed", json={})).status_code
    assert {"active": False} == await introspected(server, tokens["access_token"])
    for refused in (await refresh(app, tokens["refresh_token"]), await app.swap(waiting)):
        assert (400, "invalid_grant") == (refused.status_code, refused.json()["error"]), refused.text
    await world.register_idp(idp)
    anew = await tokens_of(app, idp, person=alice)
    assert {"active": False} == await introspected(server, tokens["access_token"])
    assert "invalid_grant" == (await refresh(app, tokens["refresh_token"])).json()["error"]
    assert 200 == (await refresh(app, anew["refresh_token"])).status_code


async def test_G10_who_consents_to_less_ends_what_apps_were_granted_before(world: World) -> None:
    """At an IdP whose users may untick; the app that they come back to begins anew."""
    idp, app, alice = (
        await registered_at(world, "google", GMAIL, DRIVE),
        await world.register_client(**REFRESHING),
        Visitor(world),
    )

    async def tokens(untick: Sequence[str] = ()) -> Any:
        await revoke_at(world, "google", "alice")
        answer = await alice.browser.get(await alice.callback(app, idp, untick, scope=OFFLINE, prompt="consent"))
        return (await app.swap(query_of(answer)["code"])).json()

    first, second = await tokens(), await tokens()
    renewed = (await refresh(app, first["refresh_token"])).json()
    assert "refresh_token" in renewed, "the same again takes nothing back"
    third = await tokens(untick=[DRIVE])
    assert [True, True] == [is_refused(await refresh(app, one["refresh_token"])) for one in (renewed, second)]
    user = (await app.verified(third["id_token"]))["sub"]
    assert 1 == len((await world.admin("GET", f"/v1/users/{user}/sessions")).json()["items"])
    fourth = await tokens(untick=[DRIVE])
    for what in (third, fourth):
        assert 200 == (await refresh(app, what["refresh_token"])).status_code, "what was lacked is not lost again"


async def test_G09_a_session_that_ends_takes_along_what_may_not_outlive_it(world: World) -> None:
    """And what a code knows of login and resource is in every token that comes of it (RFC 9068, RFC 9470)."""
    idp, app = await app_of(world, resources=["https://api.example/"])
    server = await resource_server(world, resources=["https://api.example/"])
    user = (await app.verified((await tokens_of(app, idp))["id_token"]))["sub"]
    sid = f"session-{idp}"
    nc = await nats.connect(world.bus.url)
    found = await buckets.connect(nc.jetstream())
    kept: list[Any] = []
    for code, scope in (("bound" + idp, "openid"), ("offline" + idp, OFFLINE), ("late" + idp, OFFLINE)):
        now = datetime.now(UTC)
        stored = Code(
            app.id, APP_REDIRECT, scope, user, idp, "the-nonce", challenge_of(VERIFIER), now, now,
            resource=("https://api.example/",), sid=sid, issuer=world.auth.url,
        )  # fmt: skip
        await found.flows.create(f"code.{buckets.hashed(code)}", stored)
        if not code.startswith("late"):
            first = (await app.swap(code)).json()
            kept.append((await refresh(app, first["refresh_token"])).json())
    for tokens in kept:
        told = await introspected(server, tokens["access_token"])
        assert ("https://api.example/", ACR, sid) == (told["aud"], told["acr"], told["sid"])
        assert {"active": False} == await introspected(await resource_server(world), tokens["access_token"]), "C10"
    await Grants(found.grants).end_session(sid, datetime.now(UTC))
    await nc.close()
    assert [False, True] == [(await introspected(server, one["access_token"]))["active"] for one in kept]
    bound, offline = [await refresh(app, one["refresh_token"]) for one in kept]
    assert (True, 200) == (is_refused(bound), offline.status_code)
    assert is_refused(await app.swap("late" + idp)), "a code does not outlive its session"


def test_B01_B28_a_spent_code_and_a_used_up_token_stay_known_over_a_restart_of_the_bus(tmp_path: Path) -> None:
    """What is on file outlives the codes in memory; while the bus is away, nobody is told that it is done."""
    with new_world(tmp_path) as world:
        asyncio.run(_over_a_restart(world))


async def _over_a_restart(world: World) -> None:
    idp, app = await app_of(world)
    code = await Person(world).log_in(app, idp_hint=idp, scope=OFFLINE)
    first = (await app.swap(code)).json()
    world.bus.kill()
    await status_becomes(world.auth, 503)
    back = {"token": first["refresh_token"], "client_id": app.id}
    for away in (await refresh(app, first["refresh_token"]), await call(world, "/oauth2/revoke", back)):
        assert (503, "temporarily_unavailable") == (away.status_code, away.json()["error"])
        assert "retry-after" in away.headers
    world.bus.start()
    await status_becomes(world.auth, 200)
    second = await refresh(app, first["refresh_token"])
    assert 200 == second.status_code, second.text
    assert is_refused(await app.swap(code))
    assert is_refused(await refresh(app, second.json()["refresh_token"]))
    assert ["code-reused"] == await reasons(world, idp)
