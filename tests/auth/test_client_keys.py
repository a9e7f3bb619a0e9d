"""Keys of clients at an address of theirs (`jwks_uri`): fetched when needed, kept, and fetched anew for a new key."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from scopefold.auth.core.egress import networks
from scopefold.auth.store.records import Client
from scopefold.auth.web import egress
from scopefold.auth.web.client_keys import signing_keys
from scopefold.auth.web.egress import Egress
from tests.auth.canary import Canary, Page, canary, json_page
from tests.auth.test_client_authentication import ask, assertion, is_unknown, public, signing_client
from tests.auth.world import App, World

LOCAL = networks("127.0.0.1/32")


def key_named(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid})


async def client_at(world: World, address: str) -> App:
    return await signing_client(world, jwks=None, jwks_uri=address)


async def test_a_client_whose_keys_are_at_an_address_authenticates_and_they_are_kept(welcoming: World) -> None:
    key = key_named("1")
    async with canary() as site:
        site.pages["/keys"] = json_page(public(key), **{"content-type": "application/jwk-set+json"})
        app = await client_at(welcoming, f"{site.url}/keys")
        assert [] == site.hits, "E03: nothing is fetched at registration"
        for _ in range(3):
            answer = await ask(app, assertion(app, key, header={"kid": "1"}))
            assert 200 == answer.status_code, answer.text
        assert 1 == len(site.hits)


async def test_nobody_makes_the_server_fetch_keys_again_and_again(welcoming: World) -> None:
    """Whoever knows a client's id can make up assertions in its name."""
    key = key_named("1")
    async with canary() as site:
        site.pages["/keys"] = json_page(public(key))
        app = await client_at(welcoming, f"{site.url}/keys")
        made_up = [assertion(app, key, header={"kid": f"made-up-{number}"}) for number in range(20)]
        assert all(is_unknown(answer) for answer in await asyncio.gather(*(ask(app, proof) for proof in made_up)))
        assert 1 == len(site.hits)
        assert 200 == (await ask(app, assertion(app, key, header={"kid": "1"}))).status_code


async def test_who_does_not_say_that_it_signs_fetches_nothing(welcoming: World) -> None:
    async with canary() as site:
        signer = await client_at(welcoming, f"{site.url}/keys")
        other = await welcoming.register_client(token_endpoint_auth_method="none", jwks_uri=f"{site.url}/keys")
        assert 401 == (await signer.swap("x" * 43)).status_code
        assert is_unknown(await ask(other, assertion(other, key_named("1"))))
        assert [] == site.hits


PRIVATE = ECKey.generate_key("P-256")
USELESS: list[tuple[str, Page]] = [
    ("away", (404, {}, b"")),
    ("moved", (302, {"location": "/keys"}, b"")),
    ("no JSON", (200, {"content-type": "text/html"}, b"<html>")),
    ("no set", json_page({"keys": "x"})),
    ("none in it", json_page({"keys": []})),
    ("a private key, which others know", json_page({"keys": [PRIVATE.as_dict(private=True)]})),
    ("a shared key", json_page({"keys": [OctKey.import_key("s" * 40).as_dict(private=True)]})),
]


@pytest.mark.parametrize(("case", "page"), USELESS)
async def test_D10_E03_keys_that_are_no_keys_authenticate_nobody(welcoming: World, case: str, page: Page) -> None:
    async with canary() as site:
        site.pages["/wrong"] = page
        site.pages["/keys"] = json_page(public(PRIVATE))
        app = await client_at(welcoming, f"{site.url}/wrong")
        assert is_unknown(await ask(app, assertion(app, PRIVATE))), case
        assert is_unknown(await ask(app, assertion(app, OctKey.import_key("s" * 40), "HS256"))), case
        assert 1 == len(site.hits)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was fetched a moment ago is old enough."""
    monkeypatch.setattr(egress, "AGAIN_SECONDS", 0.0)
    yield


def signer(address: str) -> Client:
    return Client("app", "App", (), ("client_credentials",), (), "private_key_jwt", jwks_uri=address)


async def kids(client: Egress, site: Canary, kid: str | None) -> list[Any]:
    """Of which keys an assertion that names this one may be."""
    header = {"alg": "ES256", **({"kid": kid} if kid is not None else {})}
    proof = jwt.encode(header, {"sub": "app"}, key_named("x"), algorithms=["ES256"])
    found = await signing_keys(client, signer(f"{site.url}/keys"), proof)
    return [key.kid for key in found.keys] if found is not None else []


@pytest.mark.usefixtures("at_once")
async def test_a_key_that_is_not_known_yet_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenID Connect Core 1.0, section 10.1.1: clients turn their keys without telling anybody."""
    client = Egress(LOCAL)
    async with canary() as site:
        site.pages["/keys"] = json_page(public(key_named("1")))
        assert ["1"] == await kids(client, site, "1")
        site.pages["/keys"] = json_page(public(key_named("2"), key_named("1")))
        assert ["1"] == await kids(client, site, "1"), "known, so not fetched"
        assert ["1"] == await kids(client, site, None)
        assert 1 == len(site.hits)
        assert ["2", "1"] == await kids(client, site, "2")
        assert 2 == len(site.hits)
        monkeypatch.setattr(egress, "AGAIN_SECONDS", 10.0)
        assert ["2", "1"] == await kids(client, site, "3")
        assert 2 == len(site.hits), "10 seconds must pass"
    await client.close()


@pytest.mark.usefixtures("at_once")
async def test_a_site_that_is_away_takes_nothing_from_its_client() -> None:
    """Somebody else's made-up key must not make the server forget good ones."""
    client = Egress(LOCAL)
    async with canary() as site:
        site.pages["/keys"] = json_page(public(key_named("1")))
        assert ["1"] == await kids(client, site, "1")
        site.pages.clear()
        assert ["1"] == await kids(client, site, "made-up")
        assert ["1"] == await kids(client, site, "1")
        assert 2 == len(site.hits)
    await client.close()


@pytest.mark.usefixtures("at_once")
async def test_all_who_ask_at_one_moment_share_one_request() -> None:
    client = Egress(LOCAL)
    async with canary() as site:
        site.pages["/keys"] = json_page(public(*(key_named(str(number)) for number in range(30))))
        found = await asyncio.gather(*(kids(client, site, str(number)) for number in range(10)))
        assert [[str(number) for number in range(20)]] * 10 == found, "of a set that is too long, the first keys count"
        assert 1 == len(site.hits)
    await client.close()
