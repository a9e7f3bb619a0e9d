"""The token endpoint: old codes, guessed secrets, storage that fails."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from msgspec.structs import replace

from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.declared import GRANTS
from scopefold.auth.store.records import Client, Code
from tests.attacks.stored import buckets_of
from tests.auth.test_refresh_tokens import app_of, is_refused
from tests.auth.tokens import OFFLINE, call, introspected, refresh, resource_server, tokens_of
from tests.auth.world import App, Person, World, new_world, status_becomes
from tests.support.process import Service


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world of the test's own, to break."""
    with new_world(tmp_path) as running:
        yield running


async def registered_long_ago(world: World, app: App) -> App:
    """As if a version had registered the app that did not note when: what it is given may then be made older."""
    async with buckets_of(world) as found:
        stored = await found.clients.get(hashed(app.id), Client)
        assert stored is not None
        await found.clients.update(hashed(app.id), replace(stored[0], registered_at=None), revision=stored[1])
    return app


async def made_older(world: World, code: str, seconds: int) -> None:
    """As if the code had been issued so long ago."""
    async with buckets_of(world) as found:
        key = f"code.{hashed(code)}"
        stored = await found.flows.get(key, Code)
        assert stored is not None
        older = replace(stored[0], issued_at=stored[0].issued_at - timedelta(seconds=seconds))
        await found.flows.update(key, older, revision=stored[1])


@pytest.mark.parametrize(("seconds", "status"), [(50, 200), (61, 400), (590, 400)])
async def test_B04_a_code_dies_after_a_minute_over_http(world: World, jira: str, seconds: int, status: int) -> None:
    app, alice = await registered_long_ago(world, await world.register_client()), Person(world)
    code = await alice.log_in(app, idp_hint=jira)
    await made_older(world, code, seconds)
    answer = await app.swap(code)
    assert status == answer.status_code, answer.text
    assert (status == 200) is ("access_token" in answer.text)
    if status == 400:
        assert is_refused(answer)
        assert is_refused(await app.swap(code)), "it does not come to life again"


async def test_B01_a_code_that_comes_again_late_ends_what_it_brought(world: World) -> None:
    """oidcc-codereuse-30seconds: also when the code itself has died."""
    idp, app = await app_of(world)
    await registered_long_ago(world, app)
    server = await resource_server(world)
    code = await Person(world).log_in(app, idp_hint=idp, scope=OFFLINE)
    await made_older(world, code, 30)
    tokens = (await app.swap(code)).json()
    assert (await introspected(server, tokens["access_token"]))["active"]
    await made_older(world, code, 500)
    assert is_refused(await app.swap(code))
    assert {"active": False} == await introspected(server, tokens["access_token"])
    assert is_refused(await refresh(app, tokens["refresh_token"]))


GUESSES, ADDRESSES = 1000, 10


async def test_B14_a_thousand_guesses_from_several_addresses_are_cut_off_and_lock_nobody_out(
    world: World, strict: Service
) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    form = app.swap_form("x" * 43)
    async with httpx.AsyncClient(base_url=strict.url, timeout=20) as http:

        async def guess(secret: str, address: str) -> httpx.Response:
            headers = {"x-forwarded-for": address}
            return await http.post("/oauth2/token", data=form, auth=(app.id, secret), headers=headers)

        found: dict[str, list[httpx.Response]] = {}
        for n in range(GUESSES):
            address = f"203.0.113.{n % ADDRESSES}"
            found.setdefault(address, []).append(await guess(f"wrong-{n}", address))
        for answers in found.values():
            assert [401] * 5 == [one.status_code for one in answers[:5]]
            assert {401, 429} == {one.status_code for one in answers}
            assert {"invalid_client", "temporarily_unavailable"} == {one.json()["error"] for one in answers}
            assert all("retry-after" in one.headers for one in answers if one.status_code == 429)
            refused = [one.json() for one in answers if one.status_code == 401]
            assert [refused[0]] * len(refused) == refused, "no guess is told from another"
        right = await guess(str(app.secret), "203.0.113.99")
        assert (400, "invalid_grant") == (right.status_code, right.json()["error"]), "locked out nowhere else"


async def test_B24_no_other_grant_is_known_and_none_widens_what_is_registered(world: World) -> None:
    own = {"grant_types": ["client_credentials"], "scopes": ["reports:read"]}
    app = await world.register_client(**own, token_endpoint_auth_method="client_secret_basic")
    mine = (app.id, str(app.secret))
    for scope in ("reports:write", "reports:read admin", "openid", "reports:read\toffline_access", "REPORTS:READ"):
        form = {"grant_type": "client_credentials", "scope": scope}
        answer = await call(world, "/oauth2/token", form, auth=mine)
        assert is_refused(answer, "invalid_scope"), scope
    others = ("device_code", "jwt-bearer", "saml2-bearer", "token-exchange", "ciba")
    for grant in (
        *(f"urn:ietf:params:oauth:grant-type:{one}" for one in others),
        "password",
        "implicit",
        "device_code",
    ):
        form = {"grant_type": grant, "device_code": "x", "scope": "admin", "username": "a", "password": "b"}
        answer = await call(world, "/oauth2/token", form, auth=mine)
        assert (400, False) == (answer.status_code, "access_token" in answer.json()), grant
        assert answer.json()["error"] in ("unsupported_grant_type", "unauthorized_client", "invalid_request"), grant


CLIENT_PATHS = ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke", "/oauth2/par")


async def test_B26_no_answer_for_clients_is_kept_by_a_cache(world: World, strict: Service, jira: str) -> None:
    """Whatever its status."""
    app, alice = await world.register_client(token_endpoint_auth_method="client_secret_post"), Person(world)
    code = await alice.log_in(app, idp_hint=jira)
    mine = {"client_id": app.id, "client_secret": str(app.secret)}
    forms: list[dict[str, Any]] = [{}, mine, {**mine, "client_secret": "wrong"}, {**mine, "token": "x"}]
    forms += [{**mine, "grant_type": "nonsense"}, {**app.request(), **mine}, {**mine, "a": "x" * 300_000}]
    seen: set[int] = set()
    async with httpx.AsyncClient(timeout=20) as http:
        answers = [await http.post(f"{world.auth.url}{path}", data=form) for path in CLIENT_PATHS for form in forms]
        answers.append(await http.post(f"{world.auth.url}/oauth2/token", data={**app.swap_form(code), **mine}))
        answers += [await http.get(f"{world.auth.url}{path}") for path in CLIENT_PATHS]
        address = {"x-forwarded-for": "203.0.113.200"}
        guess = {**app.swap_form(code), **forms[2]}
        answers += [await http.post(f"{strict.url}/oauth2/token", data=guess, headers=address) for _ in range(8)]
    for answer in answers:
        seen.add(answer.status_code)
        assert "no-store" == answer.headers["cache-control"], (answer.url, answer.status_code)
    assert {200, 201, 400, 401, 405, 413, 429} == seen


@asynccontextmanager
async def full(world: World) -> AsyncIterator[None]:
    """The bucket of grants takes nothing that is new or longer, as where it is full; it can be read."""
    nc = await nats.connect(world.bus.url)
    js = nc.jetstream()
    info = await js.stream_info(f"KV_{GRANTS}")
    before = info.config.max_bytes
    await js.update_stream(info.config.evolve(max_bytes=max(1, info.state.bytes)))
    try:
        yield
    finally:
        await js.update_stream(info.config.evolve(max_bytes=before))
        await nc.close()


async def test_B28_where_nothing_can_be_stored_nothing_is_used_up_and_nothing_reported_revoked(
    own_world: World,
) -> None:
    idp, app = await app_of(own_world)
    server, alice = await resource_server(own_world), Person(own_world)
    tokens = await tokens_of(app, idp, person=alice)
    code = await alice.log_in(app, idp_hint=idp, prompt="login")
    by_refresh, by_access = [{"token": tokens[f"{one}_token"], "client_id": app.id} for one in ("refresh", "access")]
    async with full(own_world):
        for answer in (
            await call(own_world, "/oauth2/revoke", by_refresh),
            await call(own_world, "/oauth2/revoke", by_access),
            await app.swap(code),
        ):
            assert (503, True) == (answer.status_code, "retry-after" in answer.headers), answer.text
            assert "temporarily_unavailable" == answer.json()["error"]
            assert "access_token" not in answer.text
        assert (await introspected(server, tokens["access_token"]))["active"], "nothing was revoked, and nobody said so"
    assert 200 == (await app.swap(code)).status_code, "nothing was used up"
    second = await refresh(app, tokens["refresh_token"])
    assert 200 == second.status_code, second.text
    assert (
        200
        == (
            await call(own_world, "/oauth2/revoke", {**by_refresh, "token": second.json()["refresh_token"]})
        ).status_code
    )
    assert {"active": False} == await introspected(server, tokens["access_token"])


async def test_B28_while_the_bus_is_away_every_answer_says_so_and_it_goes_on_afterwards(own_world: World) -> None:
    idp, app = await app_of(own_world)
    alice = Person(own_world)
    tokens = await tokens_of(app, idp, person=alice)
    own_world.bus.kill()
    form = {"token": tokens["refresh_token"], "client_id": app.id}
    answers = await asyncio.gather(
        *(call(own_world, path, form) for path in ("/oauth2/revoke", "/oauth2/introspect")),
        refresh(app, tokens["refresh_token"]),
        app.swap("x" * 43),
        call(own_world, "/oauth2/par", app.request()),
    )
    for answer in answers:
        assert (503, "temporarily_unavailable") == (answer.status_code, answer.json()["error"]), answer.url
        assert "no-store" == answer.headers["cache-control"]
    own_world.bus.start()
    await status_becomes(own_world.auth, 200)
    assert 200 == (await refresh(app, tokens["refresh_token"])).status_code
