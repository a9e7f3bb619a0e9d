"""Telling clients of logouts: through which door each is reached, and that none holds up another (G08)."""

from collections.abc import AsyncIterator
from ipaddress import IPv4Network

import httpx
import pytest

from scopefold.auth.web.backchannel import CLIENT_AT_ONCE, UNKNOWN_AT_ONCE, Backchannel, Delivery
from scopefold.auth.web.egress import ADDRESS_AT_ONCE, Egress
from tests.auth.oidc import Receiver, receiver, signed_by_us
from tests.auth.test_logout import click
from tests.auth.test_registration import initial_token
from tests.auth.world import App, Person, World, until

HERE = IPv4Network("127.0.0.1/32")


async def running(*reachable: IPv4Network) -> AsyncIterator[Backchannel]:
    async with httpx.AsyncClient() as http:
        egress = Egress(reachable)
        backchannel = Backchannel(http, egress)
        yield backchannel
        await backchannel.close()
        await egress.close()


@pytest.fixture
async def closed() -> AsyncIterator[Backchannel]:
    """As a production service has it: nothing internal is open to clients that nobody vouches for."""
    async for one in running():
        yield one


@pytest.fixture
async def opened() -> AsyncIterator[Backchannel]:
    async for one in running(HERE):
        yield one


def to(client: str, where: Receiver, *, unknown: bool = False) -> Delivery:
    return Delivery(client, where.address, f"token-of-{client}", unknown)


async def test_G08_only_an_operators_client_is_told_at_an_internal_address(closed: Backchannel) -> None:
    async with receiver() as inside, receiver() as by_name:
        named = by_name.address.replace("http://127.0.0.1", "https://localhost")
        await closed.send(
            [
                to("registered-itself", inside, unknown=True),
                Delivery("by-name", named, "token", unknown=True),
                to("operators", inside),
            ]
        )
        assert (["token-of-operators"], []) == ([one["logout_token"] for one in inside.received], by_name.received)


async def test_G08_where_an_operator_opened_the_network_the_same_door_leads_there(opened: Backchannel) -> None:
    async with receiver(302, 200) as moved, receiver() as fine:
        await opened.send([to("a", fine, unknown=True), to("b", moved, unknown=True)])
        assert [{"logout_token": "token-of-a"}] == fine.received

        async def told_again() -> bool:
            return len(moved.received) == 2

        await until(told_again)  # the redirect was not followed: the same address is asked again


async def test_G08_slow_clients_that_nobody_vouches_for_hold_up_no_other(opened: Backchannel) -> None:
    async with receiver(0) as silent, receiver() as good:
        waiting = [to(f"slow-{number}", silent, unknown=True) for number in range(3 * UNKNOWN_AT_ONCE)]
        await opened.send(waiting)
        assert ADDRESS_AT_ONCE == len(silent.received), "all of them are at one address"
        await opened.send([to("operators", good)])
        assert ["token-of-operators"] == [one["logout_token"] for one in good.received]


async def test_G08_one_client_has_few_turns_however_many_of_its_sessions_end(opened: Backchannel) -> None:
    async with receiver(0) as silent, receiver() as good:
        for unknown in (True, False):
            silent.received.clear()
            await opened.send(to(f"slow-{unknown}", silent, unknown=unknown) for _ in range(50))
            assert CLIENT_AT_ONCE == len(silent.received)
            await opened.send([to(f"good-{unknown}", good, unknown=unknown)])
        assert ["token-of-good-True", "token-of-good-False"] == [one["logout_token"] for one in good.received]


async def logged_out(world: World, address: str, **headers: str) -> App:
    """An app that registered itself with this logout address, and whose user has logged in and out."""
    idp, alice = await world.idp_with_jira(), Person(world)
    body = {
        "redirect_uris": ["https://app.example/callback"],
        "token_endpoint_auth_method": "none",
        "backchannel_logout_uri": address,
    }
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=20) as http:
        made = await http.post("/oauth2/register", json=body, headers=headers)
    assert 201 == made.status_code, made.text
    app = App(world, made.json())
    await alice.allow(app, idp_hint=idp)
    page = await alice.browser.get("/oauth2/logout")
    assert 200 == (await click(alice, page)).status_code
    return app


async def test_G08_a_client_that_registered_itself_is_told(welcoming: World) -> None:
    """Over HTTP, all the way, as a developer has it who opened this machine."""
    async with receiver() as one:
        app = await logged_out(welcoming, one.address)
        (told,) = one.received
        assert app.id == (await signed_by_us(welcoming, told["logout_token"])).claims["aud"]


async def test_G08_a_name_that_leads_inside_is_found_out_when_it_is_resolved(guarded: World) -> None:
    """Over HTTP, as a production service has it. A name says nothing at registration, and may change later."""
    leave = await initial_token(guarded)
    async with receiver() as one:
        named = one.address.replace("http://127.0.0.1", "https://localhost")
        app = await logged_out(guarded, named, authorization=f"Bearer {leave}")

        async def refused() -> bool:
            said = [line for line in guarded.auth.said().splitlines() if app.id in line and "logout not told" in line]
            return any("the address is refused" in line for line in said)

        await until(refused)
        assert [] == one.received
