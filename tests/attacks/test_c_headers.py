"""Headers that are sent twice: one for each who reads them."""

import asyncio
import base64
from collections.abc import Sequence

import pytest

from tests.auth.gateways import Gateway, access_token
from tests.auth.test_forward_auth import credentials
from tests.auth.world import Person, World
from tests.support.process import ADMIN


async def status_of(world: World, method: str, path: str, headers: Sequence[tuple[str, str]]) -> int:
    """The status of an answer, to a request as it is written here."""
    host, _, port = world.auth.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    told = "".join(f"{name}: {value}\r\n" for name, value in [("host", "x"), ("connection", "close"), *headers])
    writer.write(f"{method} {path} HTTP/1.1\r\n{told}\r\n".encode())
    line = await asyncio.wait_for(reader.readline(), 20)
    writer.close()
    return int(line.split(b" ")[1])


@pytest.mark.parametrize("prefix", ["", "/default"])
async def test_C15_a_gateway_is_told_nothing_of_a_request_that_says_two_things(
    world: World, jira: str, prefix: str
) -> None:
    """What the user added must not stand before what the gateway did, nor go on to the API behind it."""
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    user, (own,) = ("authorization", f"Bearer {token}"), credentials(gateway).items()
    if prefix:  # the token is of another issuer: what is said twice is refused before that is looked at
        user = ("authorization", "Bearer x")
    asked, path = f"{prefix}/forward-auth?resource={gateway.resource}", f"{prefix}/forward-auth/rest/api"
    resource, age = ("x-gateway-resource", gateway.resource), ("x-gateway-max-age", "100000")
    good = 401 if prefix else 200
    table: list[tuple[str, str, list[tuple[str, str]], int]] = [
        ("as it should be", asked, [user, own], good),
        ("a token and another", asked, [user, ("authorization", "Bearer other"), own], 400),
        ("the other first", asked, [("authorization", "Basic eDp5"), user, own], 400),
        ("two gateways", asked, [user, own, ("X-Gateway-Authorization", "Basic eDp5")], 400),
        ("asked by headers", path, [user, own, resource, age], good),
        ("an age before the gateway's", path, [user, own, resource, age, ("x-gateway-max-age", "0")], 400),
        ("two resources", path, [user, own, resource, ("x-gateway-resource", "urn:connector:a:b")], 400),
        ("a level before the gateway's", path, [user, own, resource, *[("x-gateway-acr-values", "a")] * 2], 400),
    ]
    for case, address, headers, expected in table:
        assert expected == await status_of(world, "GET", address, headers), case


@pytest.mark.parametrize("prefix", ["", "/default"])
async def test_C15_no_credential_is_taken_twice_at_any_other_door(world: World, jira: str, prefix: str) -> None:
    gateway = await Gateway.registered(world, jira)
    basic = base64.b64encode(f"{gateway.app.id}:{gateway.app.secret}".encode()).decode()
    admin, client, other = f"Bearer {ADMIN}", f"Basic {basic}", "Bearer other"
    form = [("content-type", "application/x-www-form-urlencoded"), ("content-length", "0")]
    doors: list[tuple[str, str, str, list[tuple[str, str]]]] = [
        *(("POST", f"{prefix}/oauth2/{name}", client, form) for name in ("token", "introspect", "revoke", "par")),
        ("GET", f"{prefix}/oauth2/userinfo", other, []),
        ("GET", "/v1/reconsent", admin, []),
    ]
    for method, path, credential, headers in doors:
        for pair in ((credential, other), (other, credential)):
            twice = [("authorization", one) for one in pair]
            assert 400 == await status_of(world, method, path, [*headers, *twice]), (path, pair[0][:6])
