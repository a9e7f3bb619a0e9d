"""Pushed authorization requests (RFC 9126): the attacks of FAPI's par-* modules, and what people do in between."""

import asyncio
import html
import re
from datetime import timedelta
from typing import Any

import httpx
import nats
import pytest
from msgspec.structs import replace
from nats.js import JetStreamContext

from scopefold.auth.store.buckets import connect, hashed
from scopefold.auth.store.records import Pushed
from tests.auth.world import JIRA_SCOPES, VERIFIER, App, Person, World, query_of
from tests.support.browsing import Window
from tests.support.logs import provisioned


async def push(app: App, **changed: Any) -> httpx.Response:
    """Push a request that is right, but for what is changed."""
    headers = changed.pop("headers", {})
    async with httpx.AsyncClient(base_url=app.world.auth.url, timeout=20, auth=credentials(app)) as http:
        return await http.post("/oauth2/par", data=app.request(**changed), headers=headers)


def credentials(app: App) -> tuple[str, str] | None:
    return (app.id, app.secret) if app.secret else None


async def pushed(app: App, **changed: Any) -> str:
    """The address that brings a pushed request."""
    answer = await push(app, **changed)
    assert (201, 90, "no-store") == (answer.status_code, answer.json()["expires_in"], answer.headers["cache-control"])
    return f"/authorize?{httpx.QueryParams(client_id=app.id, request_uri=answer.json()['request_uri'])}"


def is_refused_here(answer: httpx.Response) -> bool:
    return (400, False, True) == (
        answer.status_code,
        "location" in answer.headers,
        "invalid_request_uri" in answer.text,
    )


async def logged_in(world: World, **client: Any) -> tuple[App, Person, str]:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(**client)
    await alice.log_in(await world.register_client(), idp_hint=idp)
    return app, alice, idp


@pytest.mark.parametrize("method", ["none", "client_secret_basic"])
async def test_A20_a_pushed_request_gives_one_code(world: World, method: str) -> None:
    app, alice, idp = await logged_in(world, token_endpoint_auth_method=method)
    address = await pushed(app, idp_hint=idp, nonce="n" * 500, state="s" * 500)
    told = query_of(await alice.browser.get(address))
    assert ("s" * 500, world.auth.url) == (told["state"], told["iss"])
    assert is_refused_here(await alice.browser.get(address)), "reused"
    async with httpx.AsyncClient(base_url=world.auth.url, auth=credentials(app)) as http:
        assert 200 == (await http.post("/oauth2/token", data=app.swap_form(told["code"]))).status_code


async def test_A20_it_can_be_opened_again_until_the_login_is_done_and_by_ten_windows_once(world: World) -> None:
    app, alice, idp = await logged_in(world)
    again = Person(world)
    address = await pushed(app, idp_hint=idp)
    for _ in range(2):
        assert world.sandbox.url in (await again.browser.get(address)).headers["location"]
    answers = await asyncio.gather(*(alice.browser.get(address) for _ in range(10)))
    codes = [one for one in answers if one.status_code == 303 and "code" in query_of(one)]
    assert 1 == len(codes)


async def test_A20_a_reference_is_its_clients_own_and_lives_90_seconds(world: World) -> None:
    app, alice, idp = await logged_in(world)
    other = await world.register_client()
    address = await pushed(app, idp_hint=idp)
    for wrong in (
        address.replace(app.id, other.id),
        address.replace(f"client_id={app.id}&", ""),
        address[:-1],
        address + "x",
    ):
        assert is_refused_here(await alice.browser.get(wrong)), wrong
    await made_older(world, address, 91)
    assert is_refused_here(await alice.browser.get(address)), "expired"


async def made_older(world: World, address: str, seconds: int) -> None:
    """As if it had been pushed so long ago."""
    nc = await nats.connect(world.bus.url)
    flows = (await connect(JetStreamContext(nc))).flows
    key = f"pushed.{hashed(httpx.URL(address).params['request_uri'])}"
    found = await flows.get(key, Pushed)
    assert found is not None
    older = replace(found[0], pushed_at=found[0].pushed_at - timedelta(seconds=seconds))
    await flows.update(key, older, revision=found[1])
    await nc.close()


async def test_A20_A21_who_came_in_time_may_take_their_time_to_choose_and_nobody_else(world: World) -> None:
    app, alice, idp = await logged_in(world)
    slow = Person(world)
    address = await pushed(app, nonce="a-canary-nonce", login_hint="canary@example.org")
    page = await slow.browser.get(address)
    links = [one.replace("&amp;", "&") for one in re.findall(r'href="(/authorize[^"]+)"', page.text)]
    link = next(one for one in links if f"idp_hint={idp}" in one)
    assert {"client_id", "request_uri", "idp_hint"} == set(httpx.URL(link).params.keys()), "A21: nothing else is shown"
    assert "canary" not in page.text + str(page.headers)
    await made_older(world, address, 300)
    assert is_refused_here(await alice.browser.get(link))
    assert world.sandbox.url in (await slow.browser.get(link)).headers["location"]


WRONG: list[tuple[str, dict[str, str | None], str]] = [
    ("request-uri", {"request_uri": "urn:ietf:params:oauth:request_uri:x"}, "invalid_request"),
    ("request", {"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
    ("no-pkce", {"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
    ("plain-pkce", {"code_challenge_method": "plain"}, "invalid_request"),
    ("no-redirect", {"redirect_uri": None}, "invalid_request"),
    ("redirect", {"redirect_uri": "https://evil.example"}, "invalid_request"),
    ("type", {"response_type": "token"}, "unsupported_response_type"),
    ("target", {"resource": "https://nobody.example"}, "invalid_target"),
    ("mode", {"response_mode": "fragment"}, "invalid_request"),
    ("prompt", {"prompt": "none login"}, "invalid_request"),
    ("max-age", {"max_age": "soon"}, "invalid_request"),
    ("claims", {"claims": "[]"}, "invalid_request"),
    ("acr", {"claims": '{"id_token":{"acr":{"essential":true,"value":"x"}}}'}, "unmet_authentication_requirements"),
    ("hint", {"id_token_hint": "x.y.z"}, "invalid_request"),
]


@pytest.mark.parametrize(("case", "changed", "error"), WRONG)
async def test_A20_what_is_wrong_is_told_when_it_is_pushed(
    world: World, case: str, changed: dict[str, str | None], error: str
) -> None:
    answer = await push(await world.register_client(), **changed)
    assert (400, error) == (answer.status_code, answer.json()["error"]), answer.text


async def test_what_only_the_session_decides_is_left_to_the_browser(world: World) -> None:
    """Nobody is logged in where a request is pushed: `prompt=none` is no error there."""
    app, alice, idp = await logged_in(world)
    address = await pushed(app, idp_hint=idp, prompt="none", max_age="1000")
    assert "login_required" == query_of(await Person(world).browser.get(address))["error"]
    assert "code" in query_of(await alice.browser.get(address))


async def test_A20_only_a_client_that_proves_itself_pushes_by_post_and_form(world: World) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    other = await world.register_client()
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        assert 405 == (await http.get("/oauth2/par", params=app.request())).status_code
        assert 400 == (await http.post("/oauth2/par", json=app.request())).status_code
        tries: list[tuple[Any, dict[str, str]]] = [
            (None, app.request()),
            ((app.id, "wrong"), app.request()),
            ((app.id, app.secret), app.request(client_id=other.id)),
            (None, app.request(client_id="nobody")),
            (None, app.request(client_id=None)),
        ]
        for auth, form in tries:
            answer = await http.post("/oauth2/par", data=form, auth=auth)
            assert (401, "invalid_client") == (answer.status_code, answer.json()["error"]), form
            assert "Basic" in answer.headers["www-authenticate"]


async def test_A21_a_secret_that_was_sent_along_is_not_kept(world: World) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_post")
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        answer = await http.post("/oauth2/par", data={**app.request(), "client_secret": app.secret})
    nc = await nats.connect(world.bus.url)
    found = await (await connect(JetStreamContext(nc))).flows.get(
        f"pushed.{hashed(answer.json()['request_uri'])}", Pushed
    )
    await nc.close()
    assert found is not None
    assert app.secret not in found[0].parameters.values()
    assert "the-nonce" not in world.auth.said()


async def test_a_client_that_must_push_is_refused_otherwise(world: World) -> None:
    app, alice, idp = await logged_in(world, require_pushed_authorization_requests=True)
    told = query_of(await alice.browser.get(app.address(idp_hint=idp)))
    assert ("invalid_request", world.auth.url) == (told["error"], told["iss"])
    assert "code" in query_of(await alice.browser.get(await pushed(app, idp_hint=idp)))


async def test_A20_what_stands_beside_a_reference_changes_nothing(world: World) -> None:
    app, alice, idp = await logged_in(world)
    address = await pushed(app, idp_hint=idp, scope="openid")
    beside = {"scope": "openid email", "state": "other", "redirect_uri": "https://evil.example", "idp_hint": "none"}
    told = query_of(await alice.browser.get(f"{address}&{httpx.QueryParams(beside)}"))
    assert "the-state" == told["state"]
    answer = await app.swap(told["code"], code_verifier=VERIFIER)
    assert "openid" == answer.json()["scope"]


async def test_a_login_from_the_beginning_comes_through_a_pushed_request(world: World) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    address = await pushed(app, idp_hint=idp)
    upstream = (await Window(world.auth.url).get(address)).headers["location"]
    assert upstream.startswith(world.sandbox.url)
    alice.address = address
    told = query_of(await alice.come_back(app))
    assert 200 == (await app.swap(told["code"])).status_code
    assert is_refused_here(await alice.browser.get(address))


async def test_A21_a_failed_login_is_tried_again_by_the_same_request_of_which_the_page_shows_nothing(
    world: World,
) -> None:
    idp = await world.idp_with_jira()
    await world.publish(provisioned(f"other-{idp}", JIRA_SCOPES, idp), by="provisioner")
    kinds = [f"urn:connector:identos:{name}-{idp}" for name in ("jira", "other")]
    app = await world.register_client()
    asked = {**app.request(state="a-state-of-its-own"), "resource": kinds}
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        reference = (await http.post("/oauth2/par", data=asked)).json()["request_uri"]
    short = f"/authorize?{httpx.QueryParams(client_id=app.id, request_uri=reference)}"
    for address, shows in ((short, False), (f"/authorize?{httpx.QueryParams(asked)}", True)):
        alice = Person(world)
        alice.address = address
        back = httpx.URL(await alice.press(await alice.at_consent(app))).copy_remove_param("code")
        page = await alice.browser.get(back)
        (again,) = re.findall(r'id="again" href="([^"]+)"', page.text)
        assert (502, shows) == (page.status_code, "a-state-of-its-own" in again), again
        answer = await alice.browser.get(html.unescape(again))
        assert world.sandbox.url in answer.headers["location"], "both resources are asked for again"
