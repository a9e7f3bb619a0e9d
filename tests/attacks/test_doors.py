"""Every credential that there is, at every door that takes one: each opens what it is for, and nothing else."""

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx
from joserfc import jwt

from scopefold.auth.oauth.keys import keys_of
from tests.auth.gateways import Gateway
from tests.auth.holders import Holder, ath_of
from tests.auth.providers import vault
from tests.auth.test_dpop import swap
from tests.auth.test_forward_auth import ask
from tests.auth.test_organisations import at_organisation
from tests.auth.test_requests import claims_of
from tests.auth.tokens import REFRESHING, call, tokens_of
from tests.auth.world import Person, World, query_of

API: Final = "https://api.example/tickets"
ELSEWHERE: Final = "https://elsewhere.example/"
CONFIDENTIAL: Final = {"token_endpoint_auth_method": "client_secret_basic", "redirect_uris": []}
Door = Callable[[str], Awaitable[httpx.Response]]


async def signed_anew(world: World, token: str, **changed: Any) -> str:
    """The same token with other claims, signed as it was."""
    async with vault(world) as opened:
        keys = keys_of((await opened.signing_ring())[0])
    header = {"alg": "ES256", "typ": "at+jwt", "kid": keys.es256.kid}
    return str(jwt.encode(header, {**claims_of(token), **changed}, keys.es256))


async def own_token(world: World) -> str:
    """A client's own."""
    client = await world.register_client(**CONFIDENTIAL, grant_types=["client_credentials"], scopes=["api:read"])
    answer = await call(
        world, "/oauth2/token", {"grant_type": "client_credentials"}, auth=(client.id, str(client.secret))
    )
    return str(answer.json()["access_token"])


async def bound_token(world: World, idp: str) -> str:
    app, alice = await world.register_client(), Person(world)
    proof = Holder().proof("POST", f"{world.auth.url}/oauth2/token")
    return str((await swap(world, app, await alice.log_in(app, idp_hint=idp), proof)).json()["access_token"])


async def revoked_token(world: World, idp: str) -> str:
    app = await world.register_client(**REFRESHING)
    token = str((await tokens_of(app, idp))["access_token"])
    assert 200 == (await call(world, "/oauth2/revoke", {"token": token, "client_id": app.id})).status_code
    return token


async def removed_apps_token(world: World, idp: str) -> str:
    app = await world.register_client(**REFRESHING)
    token = str((await tokens_of(app, idp))["access_token"])
    gone = await world.admin("DELETE", f"/api/v1/organizations/default/clients/{app.id}")
    assert 204 == gone.status_code
    return token


async def of_the_organisation(world: World, idp: str) -> str:
    """A user's, of the other issuer of this service."""
    app = at_organisation(world, await world.register_client())
    answer = await Person(world).come_back(app, idp_hint=idp)
    return str((await app.swap(query_of(answer)["code"])).json()["access_token"])


async def meant_for(world: World, idp: str, resource: str) -> str:
    app = await world.register_client(resources=[resource])
    code = await Person(world).log_in(app, idp_hint=idp, resource=resource)
    return str((await app.swap(code)).json()["access_token"])


async def credentials_of(world: World, idp: str, gateway: Gateway) -> Mapping[str, str]:
    """What somebody may have got hold of, that is no access token of a user for this server."""
    app, alice = await world.register_client(**REFRESHING), Person(world)
    tokens = await tokens_of(app, idp, person=alice)
    right = tokens["access_token"]
    cookie = next(value for name, value in alice.browser.cookies.items() if "session" in name)
    return {
        "an ID token": tokens["id_token"],
        "a refresh token": tokens["refresh_token"],
        "a code": await alice.log_in(app, idp_hint=idp, prompt="login"),
        "a session": cookie,
        "a client's own token": await own_token(world),
        "a gateway's secret": str(gateway.app.secret),
        "one of the other issuer": await of_the_organisation(world, idp),
        "one for another resource": await meant_for(world, idp, ELSEWHERE),
        "one that was exchanged": (await gateway.exchange(right, resource=API)).json()["access_token"],
        "the provider's own": (await gateway.exchange(right)).json()["access_token"],
        "one that is bound to a key": await bound_token(world, idp),
        "one that expired": await signed_anew(world, right, exp=int(time.time()) - 1),
        "one of an unknown grant": await signed_anew(world, right, grant_id=secrets.token_urlsafe(16)[:22]),
        "one that was revoked": await revoked_token(world, idp),
        "one of an app that is gone": await removed_apps_token(world, idp),
    }


def doors_of(world: World, gateway: Gateway) -> Mapping[str, Door]:
    """Where a user's access token for this server opens."""

    async def bearer(method: str, path: str, token: str, scheme: str = "Bearer") -> httpx.Response:
        async with httpx.AsyncClient(base_url=world.auth.url, timeout=30) as http:
            return await http.request(method, path, headers={"authorization": f"{scheme} {token}"})

    return {
        "userinfo": lambda token: bearer("GET", "/oauth2/userinfo", token),
        "exchange": gateway.exchange,
        "exchange for an API": lambda token: gateway.exchange(token, resource=API),
        "forward-auth": lambda token: ask(gateway, token),
    }


OF_OPERATORS: Final = [
    ("GET", "/v1/idps"),
    ("GET", "/v1/reconsent/export?format=csv"),
    ("GET", "/v1/metrics"),
    ("GET", "/v1/webhook/dead"),
    ("POST", "/v1/keys/rotate"),
    ("GET", "/api/v1/organizations/default/clients"),
    ("POST", "/api/v1/organizations/default/registration-tokens"),
]


async def test_C19_each_credential_opens_what_it_is_for_and_nothing_else(world: World, jira: str) -> None:
    gateway = await Gateway.registered(world, jira, API)
    right = (await tokens_of(await world.register_client(**REFRESHING), jira))["access_token"]
    doors, found = doors_of(world, gateway), await credentials_of(world, jira, gateway)
    for name, door in doors.items():
        assert 200 == (await door(right)).status_code, name
    told = {(credential, name): await door(text) for credential, text in found.items() for name, door in doors.items()}
    opened = {which for which, one in told.items() if one.status_code not in (400, 401, 403)}
    assert {("one that was exchanged", "exchange for an API")} == opened, "it is for that API"
    async with httpx.AsyncClient(base_url=world.auth.url, timeout=30) as http:
        for credential, text in {**found, "a user's access token": right}.items():
            for scheme in ("Bearer", "DPoP", "Basic"):
                for method, path in OF_OPERATORS:
                    answer = await http.request(method, path, headers={"authorization": f"{scheme} {text}"})
                    assert 401 == answer.status_code, (credential, scheme, path)


async def test_C06_a_gateway_passes_a_bound_token_with_a_proof_for_the_address_that_it_tells(
    world: World, jira: str
) -> None:
    """The address is what the gateway says in the one way that there is. Another, which a user may add, is not read."""
    gateway, holder, app, alice = (
        await Gateway.registered(world, jira),
        Holder(),
        await world.register_client(),
        Person(world),
    )
    proof = holder.proof("POST", f"{world.auth.url}/oauth2/token")
    token = str((await swap(world, app, await alice.log_in(app, idp_hint=jira), proof)).json()["access_token"])

    async def asked(path: str, **told: str) -> int:
        """With a proof for this path of the API, where the gateway tells of the address what is `told`."""
        held = holder.proof("GET", f"https://api.example{path}", ath=ath_of(token))
        right = {"x-forwarded-proto": "https", "x-forwarded-host": "api.example", "x-forwarded-method": "GET"}
        headers = {**right, "authorization": f"DPoP {token}", "dpop": held}
        headers |= {name.replace("_", "-"): value for name, value in told.items()}
        return (await ask(gateway, token, headers=headers)).status_code

    assert 200 == await asked("/issues", x_forwarded_uri="/issues?a=b")
    assert 401 == await asked("/issues", x_forwarded_uri="/other")
    assert 401 == await asked("/issues", x_forwarded_uri="/issues", x_forwarded_host="other.example")
    assert 401 == await asked("/issues", x_forwarded_uri="/issues", x_forwarded_method="POST")
    assert 401 == await asked("/issues", x_original_uri="/issues")
    assert 401 == await asked("/issues", x_forwarded_uri="/issues", x_forwarded_method="", x_original_method="GET")
