"""oidcc-dynamic-certification-test-plan: clients that register themselves, with private_key_jwt in RS256.

Its flows are run with PKCE, which the suite leaves out and no client that nobody vouches for may; every twin of a flow
says so. The page on which a person allows such a client is answered with yes.
"""

import secrets
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.auth.canary import Canary, canary, json_page
from tests.auth.oidc import signed_by_us, through_oidc, userinfo
from tests.auth.test_registration import initial_token, register
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of, until
from tests.conformance.client import Warn, header_of, metadata, unsigned
from tests.conformance.fapi import ASSERTION_TYPE

PLAN = "oidcc-dynamic-certification-test-plan"
PREFIX = "oidcc-"
NO_PKCE = "the client uses PKCE, which the suite's does not: no client that registers itself may leave it out"


class DynamicClient(App):
    """It registered itself, and signs assertions."""

    def __init__(self, world: World, registered: dict[str, Any], key: RSAKey) -> None:
        super().__init__(world, registered)
        self.key = key

    async def token(self, audience: str | None = None, **form: str) -> httpx.Response:
        """One request to the token endpoint, with an assertion of the kind that the suite makes."""
        now, header = int(time.time()), {"alg": "RS256", **({"kid": self.key.kid} if self.key.kid else {})}
        claims: dict[str, Any] = {"iss": self.id, "sub": self.id, "iat": now, "exp": now + 60}
        claims |= {"aud": audience or f"{self.world.auth.url}/oauth2/token", "jti": secrets.token_hex(8)}
        proved = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": jwt.encode(header, claims, self.key)}
        async with httpx.AsyncClient(base_url=self.world.auth.url, timeout=20) as http:
            return await http.post("/oauth2/token", data={**form, **proved})

    async def swap(self, code: str | None, **changed: str | None) -> httpx.Response:
        return await self.token(**self.swap_form(code, **{"client_id": None, **changed}))


async def registration(world: World, **changed: Any) -> httpx.Response:
    """What the registration endpoint answers to a client with an initial access token."""
    return await register(world, await initial_token(world), **changed)


async def dynamic_client(world: World, key: RSAKey | None = None, **changed: Any) -> DynamicClient:
    """A newly registered one."""
    key = key or RSAKey.generate_key(2048)
    kind = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key.as_dict(private=False)]}}
    answer = await registration(world, **{**kind, **changed})
    assert 201 == answer.status_code, answer.text
    return DynamicClient(world, answer.json(), key)


async def redirected(client: App, **changed: str | None) -> httpx.Response:
    """Somebody new logs in, and allows the client."""
    person = Person(client.world)
    return await person.decide(await through_oidc(person, client, **{"scope": "openid", **changed}))


async def tokens_of(client: DynamicClient, **changed: str | None) -> dict[str, Any]:
    """The tokens of such a login, whose ID token and UserInfo are checked."""
    told = query_of(await redirected(client, **changed))
    assert ("the-state", client.world.auth.url) == (told["state"], told["iss"])
    answer = await client.swap(told["code"], redirect_uri=changed.get("redirect_uri", APP_REDIRECT))
    assert 200 == answer.status_code, answer.text
    tokens = dict(answer.json())
    claims = await client.verified(tokens["id_token"])
    assert claims["sub"] == (await userinfo(client.world, tokens["access_token"])).json()["sub"]
    return tokens


async def test_server(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    await tokens_of(await dynamic_client(world))


async def test_idtoken_rs256(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    tokens = await tokens_of(await dynamic_client(world, id_token_signed_response_alg="RS256"))
    header = await header_of(world, tokens["id_token"])
    assert ("RS256", True) == (header["alg"], bool(header["kid"]))


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="no ID token is ever unsigned, and none is offered: the suite skips this module then",
)
async def test_idtoken_unsigned(world: World) -> None:
    assert "none" in (await metadata(world))["id_token_signing_alg_values_supported"]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="UserInfo answers in JSON, which nobody signs")
async def test_userinfo_rs256(world: World) -> None:
    assert "RS256" in (await metadata(world)).get("userinfo_signing_alg_values_supported", [])


async def test_ensure_redirect_uri_in_authorization_request(world: World) -> None:
    client = await dynamic_client(world)
    answer = await Person(world).browser.get(client.address(redirect_uri=None))
    assert (400, False) == (answer.status_code, "location" in answer.headers)


WITH_QUERY = f"{APP_REDIRECT}?foo=bar"


async def test_redirect_uri_query_OK(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    client = await dynamic_client(world, redirect_uris=[WITH_QUERY])
    answer = await redirected(client, redirect_uri=WITH_QUERY)
    told = query_of(answer)
    assert ("bar", True, True) == (told["foo"], "code" in told, answer.headers["location"].startswith(WITH_QUERY))
    assert 200 == (await client.swap(told["code"], redirect_uri=WITH_QUERY)).status_code


async def is_refused_here(world: World, registered: str, sent: str) -> bool:
    client = await dynamic_client(world, redirect_uris=[registered])
    answer = await Person(world).browser.get(client.address(redirect_uri=sent))
    return (400, False) == (answer.status_code, "location" in answer.headers)


async def test_redirect_uri_query_mismatch(world: World) -> None:
    assert await is_refused_here(world, WITH_QUERY, f"{APP_REDIRECT}?bar=foo")


async def test_redirect_uri_query_added(world: World) -> None:
    assert await is_refused_here(world, APP_REDIRECT, WITH_QUERY)


async def test_redirect_uri_regfrag(world: World) -> None:
    answer = await registration(world, redirect_uris=[f"{APP_REDIRECT}#fragment"])
    assert (400, "invalid_redirect_uri") == (answer.status_code, answer.json()["error"])


async def test_discovery_endpoint_verification(world: World, warn: Warn) -> None:
    warn("this issuer is on loopback, so its addresses are of http; the module demands https")
    said = await metadata(world)
    assert f"{world.auth.url}/oauth2/register" == said["registration_endpoint"]
    assert "private_key_jwt" in said["token_endpoint_auth_methods_supported"]


async def names_in(world: World, member: str) -> bool:
    """Is an address of the client's on a page that a person sees who logs in with it?"""
    named: dict[str, Any] = {member: f"https://app.example/{member}"}
    page = await through_oidc(Person(world), await dynamic_client(world, **named), scope="openid")
    assert (200, True) == (page.status_code, "Notes" in page.text)
    return f"app.example/{member}" in page.text


UNSHOWN = (
    "of what a client that nobody vouches for says of itself, no page shows more than its name, so no logo or link"
)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=UNSHOWN)
async def test_registration_logo_uri(world: World) -> None:
    assert await names_in(world, "logo_uri")


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=UNSHOWN)
async def test_registration_policy_uri(world: World) -> None:
    assert await names_in(world, "policy_uri")


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=UNSHOWN)
async def test_registration_tos_uri(world: World) -> None:
    assert await names_in(world, "tos_uri")


def key_named(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid})


def publish(site: Canary, key: RSAKey) -> str:
    """Put a client's key where its `jwks_uri` leads to."""
    site.pages["/jwks"] = json_page({"keys": [key.as_dict(private=False)]})
    return f"{site.url}/jwks"


async def test_registration_jwks_uri(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    async with canary() as site:
        key = key_named("1")
        await tokens_of(await dynamic_client(world, key, jwks=None, jwks_uri=publish(site, key)))


PAIRWISE = "subjects are the same for all clients, and pairwise is not offered: the suite skips this module then"


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=PAIRWISE)
async def test_registration_sector_uri(world: World) -> None:
    assert "pairwise" in (await metadata(world))["subject_types_supported"]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=PAIRWISE)
async def test_registration_sector_bad(world: World) -> None:
    assert "pairwise" in (await metadata(world))["subject_types_supported"]


async def test_server_rotate_keys(world: World) -> None:
    async def kids() -> list[str]:
        async with httpx.AsyncClient(base_url=world.auth.url) as http:
            return [key["kid"] for key in (await http.get("/oauth2/jwks")).json()["keys"]]

    before = await kids()
    assert 200 == (await world.admin("POST", "/v1/keys/rotate")).status_code
    after = await kids()
    assert len(after) == len(set(after))
    assert set(before) < set(after), "a new one, and the old ones still"
    await tokens_of(await dynamic_client(world))


async def test_refresh_token(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    client = await dynamic_client(world, grant_types=["authorization_code", "refresh_token"])
    one = await tokens_of(client)
    answer = await client.token(grant_type="refresh_token", refresh_token=one["refresh_token"])
    assert 200 == answer.status_code, answer.text
    was, now = [(await signed_by_us(world, tokens["id_token"])).claims for tokens in (one, answer.json())]
    assert [was[name] for name in ("iss", "sub", "aud")] == [now[name] for name in ("iss", "sub", "aud")]


async def test_refresh_token_rp_key_rotation(world: World, warn: Warn) -> None:
    warn(f"it is tried until the server has fetched the new key, where the module waits 60 s; {NO_PKCE}")
    async with canary() as site:
        old, new = key_named("old"), key_named("new")
        grants = ["authorization_code", "refresh_token"]
        client = await dynamic_client(world, old, jwks=None, jwks_uri=publish(site, old), grant_types=grants)
        refresh_token = (await tokens_of(client))["refresh_token"]
        client.key = new
        publish(site, new)

        async def is_taken() -> bool:
            answer = await client.token(grant_type="refresh_token", refresh_token=refresh_token)
            assert answer.status_code in (200, 401), answer.text
            return answer.status_code == 200

        await until(is_taken, 60)
        assert 2 == len(site.hits)


OBJECTS = "request objects are not taken: an address in request_uri would turn a server against its own network"


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=OBJECTS)
async def test_request_uri_unsigned(world: World) -> None:
    assert (await metadata(world))["request_uri_parameter_supported"]


@pytest.mark.xfail(strict=True, raises=AssertionError, reason=OBJECTS)
async def test_request_uri_signed_rs256(world: World) -> None:
    assert "RS256" in (await metadata(world)).get("request_object_signing_alg_values_supported", [])


async def test_ensure_request_object_with_redirect_uri(world: World) -> None:
    """As in the Basic plan: an OP without request objects shows an error page."""
    client = await dynamic_client(world)
    held = unsigned({"alg": "none"}, {**client.request(), "iss": client.id, "aud": world.auth.url})
    answer = await Person(world).browser.get(client.address(redirect_uri=f"{APP_REDIRECT}/other", request=held))
    assert (400, False) == (answer.status_code, "location" in answer.headers)


async def test_ensure_client_assertion_with_iss_aud_succeeds(world: World, warn: Warn) -> None:
    warn(NO_PKCE)
    client = await dynamic_client(world)
    form = client.swap_form(query_of(await redirected(client))["code"], client_id=None)
    answer = await client.token(audience=world.auth.url, **form)
    assert 200 == answer.status_code, answer.text
