"""fapi2-security-profile-final-test-plan: authorization requests, pushed and not.

As of a client with private_key_jwt, DPoP, OpenID Connect and unsigned requests. `test_fapi2_tokens` has the rest of it.
"""

import json
import secrets
from typing import Any

import httpx

from tests.auth.oidc import through_oidc
from tests.auth.test_pushed import made_older
from tests.auth.world import APP_REDIRECT, VERIFIER, Person, World, query_of
from tests.conformance.client import Warn, metadata, unsigned
from tests.conformance.fapi import (
    ALGORITHMS,
    REDIRECT_WITH_QUERY,
    FapiClient,
    authorized,
    checked,
    fapi_client,
    granted,
    is_refused,
    is_shown_here,
)
from tests.sandbox.visitor import transaction_in

PLAN = "fapi2-security-profile-final-test-plan"
PREFIX = "fapi2-security-profile-final-"


async def test_discovery_end_point_verification(world: World, warn: Warn) -> None:
    warn("this issuer is on loopback, so its addresses are of http; the module demands https")
    said = await metadata(world)
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        assert said == (await http.get("/.well-known/oauth-authorization-server")).json()
    assert world.auth.url == said["issuer"]
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "pushed_authorization_request_endpoint"):
        assert said[name].startswith(f"{world.auth.url}/"), name
    assert "code" in said["response_types_supported"]
    assert said["authorization_response_iss_parameter_supported"] is True
    assert isinstance(said["require_pushed_authorization_requests"], bool)
    assert "S256" in said["code_challenge_methods_supported"]
    assert "private_key_jwt" in said["token_endpoint_auth_methods_supported"]
    assert ALGORITHMS & set(said["token_endpoint_auth_signing_alg_values_supported"])
    assert ALGORITHMS & set(said["id_token_signing_alg_values_supported"])
    assert ALGORITHMS >= set(said["dpop_signing_alg_values_supported"]), "more than the module asks"
    assert "openid" in said["scopes_supported"]
    assert said["subject_types_supported"]


async def test_happy_flow(world: World) -> None:
    """Two clients, one with a query in its redirect address; no token of one is good with the key of the other."""
    first = await granted(await fapi_client(world))
    client = await fapi_client(world, redirect_uri=REDIRECT_WITH_QUERY)
    second = await granted(client, nonce="n" * 43, dpop_jkt=client.holder.jkt)
    for mine, other in ((first, second), (second, first)):
        answer = await other.client.resource(mine.access)
        assert (401, "invalid_token") == (answer.status_code, answer.json()["error"])


async def cancelled(client: FapiClient, state: str) -> dict[str, str]:
    """What the client is told where the user presses cancel."""
    person, sandbox = Person(client.world), f"{client.world.sandbox.url}/oidc"
    began = await person.browser.get(client.address(request_uri=await client.pushed(state=state, prompt="consent")))
    page = await person.browser.get(began.headers["location"])
    fields = {"transaction": transaction_in(page), "user": person.name}
    consent = await person.browser.post(f"{sandbox}/login", data=fields)
    fields = {"transaction": transaction_in(consent), "decision": "cancel"}
    back = await person.browser.post(f"{sandbox}/consent", data=fields)
    return query_of(await person.browser.get(back.headers["location"]))


async def test_user_rejects_authentication(world: World) -> None:
    for redirect_uri in (APP_REDIRECT, REDIRECT_WITH_QUERY):
        state = secrets.token_hex(64)
        told = await cancelled(await fapi_client(world, redirect_uri=redirect_uri), state)
        assert ("access_denied", state, world.auth.url) == (told["error"], told["state"], told["iss"])
        dummies = {"dummy1": "lorem", "dummy2": "ipsum"} if redirect_uri == REDIRECT_WITH_QUERY else {}
        rest = {"error", "error_description", "state", "iss"}
        assert dummies == {name: value for name, value in told.items() if name not in rest}


async def test_ensure_authorization_request_without_state_success(world: World) -> None:
    await granted(await fapi_client(world), state=None)


async def test_ensure_authorization_request_without_nonce_success(world: World) -> None:
    one = await granted(await fapi_client(world), nonce=None)
    assert "nonce" not in one.claims


async def test_ensure_authorization_request_with_64_char_nonce_success(world: World) -> None:
    await granted(await fapi_client(world), nonce=secrets.token_hex(32))


async def test_ensure_authorization_request_with_long_nonce(world: World) -> None:
    await granted(await fapi_client(world), nonce=secrets.token_hex(192))


async def test_ensure_authorization_request_with_long_state(world: World) -> None:
    await granted(await fapi_client(world), state=secrets.token_hex(500))


async def test_ensure_other_scope_order_succeeds(world: World) -> None:
    await granted(await fapi_client(world), scope="email profile openid")


async def test_test_claims_parameter_identity_claims(world: World) -> None:
    """All that the metadata names, asked for at both places in several ways, beside some that nobody knows."""
    names = [one for one in (await metadata(world))["claims_supported"] if one in KNOWN_CLAIMS]
    ways: tuple[dict[str, Any] | None, ...] = (None, {"essential": True}, {"essential": False})
    wanted = {name: ways[number % 3] for number, name in enumerate(names)} | {"urn:example:unknown": None}
    asked = json.dumps({"id_token": wanted, "userinfo": wanted, "elsewhere": wanted})
    one = await granted(await fapi_client(world), claims=asked)
    told = (await one.client.resource(one.access)).json()
    assert one.claims["sub"] == told["sub"]
    assert set(names) <= one.claims.keys() | told.keys()


KNOWN_CLAIMS = {"name", "given_name", "family_name", "preferred_username", "email", "email_verified"}


async def beside(client: FapiClient, **more: str) -> dict[str, str]:
    """What the client is told where its browser brings more than the pushed request, with the same person."""
    person = Person(client.world)
    await granted(client, person)
    answer = await person.browser.get(client.address(request_uri=await client.pushed(), **more))
    swapped = await client.redeem(query_of(answer)["code"])
    assert 200 == swapped.status_code, swapped.text
    await client.claims(swapped.json()["id_token"])
    return query_of(answer)


async def test_ensure_different_nonce_inside_and_outside_request_object(world: World) -> None:
    await beside(await fapi_client(world), nonce="another")


async def test_ensure_different_state_inside_and_outside_request_object(world: World) -> None:
    assert "the-state" == (await beside(await fapi_client(world), state="another"))["state"]


async def test_state_only_outside_request_object_not_used(world: World) -> None:
    client, person = await fapi_client(world), Person(world)
    await granted(client, person)
    answer = await person.browser.get(client.address(request_uri=await client.pushed(state=None), state="outside"))
    checked(client, answer, state=None)


async def test_ensure_request_object_without_redirect_uri_fails(world: World) -> None:
    assert is_refused(await (await fapi_client(world)).push(redirect_uri=None), "invalid_request")


async def test_ensure_redirect_uri_in_authorization_request(world: World) -> None:
    assert is_refused(await (await fapi_client(world)).push(redirect_uri=None), "invalid_request")


async def test_ensure_registered_redirect_uri(world: World) -> None:
    """The module is for profiles that demand what plain FAPI only permits, and this server does."""
    elsewhere = f"{APP_REDIRECT}/{secrets.token_hex(8)}"
    assert is_refused(await (await fapi_client(world)).push(redirect_uri=elsewhere), "invalid_request")


async def test_plain_fapi_tolerate_unregistered_redirect_uri(world: World) -> None:
    """A server may refuse it, as this one does."""
    elsewhere = f"{APP_REDIRECT}/{secrets.token_hex(8)}"
    assert is_refused(await (await fapi_client(world)).push(redirect_uri=elsewhere), "invalid_request")


async def test_ensure_unsigned_authorization_request_without_using_par_fails(world: World) -> None:
    client = await fapi_client(world)
    told = query_of(await Person(world).browser.get(f"/authorize?{httpx.QueryParams(client.request())}"))
    assert ("invalid_request", "the-state", world.auth.url) == (told["error"], told["state"], told["iss"])


async def test_ensure_response_type_code_idtoken_fails(world: World) -> None:
    answer = await (await fapi_client(world)).push(response_type="code id_token")
    assert is_refused(answer, "unsupported_response_type", "invalid_request", "unauthorized_client")


async def test_ensure_response_type_token_fails(world: World) -> None:
    answer = await (await fapi_client(world)).push(response_type="token")
    assert is_refused(answer, "unsupported_response_type", "invalid_request", "unauthorized_client")


async def test_par_attempt_reuse_request__uri(world: World) -> None:
    client, person = await fapi_client(world), Person(world)
    await granted(client, person)
    address = client.address(request_uri=await client.pushed())
    checked(client, await person.browser.get(address))
    assert is_shown_here(await person.browser.get(address), "invalid_request_uri")


async def test_par_attempt_to_use_expired_request__uri(world: World, warn: Warn) -> None:
    warn("the request was made older in the store; the module waits until it expires")
    client = await fapi_client(world)
    address = client.address(request_uri=await client.pushed())
    await made_older(world, address, 91)
    assert is_shown_here(await Person(world).browser.get(address), "invalid_request_uri")


async def test_par_attempt_to_use_request__uri_for_different_client(world: World) -> None:
    first, second = await fapi_client(world), await fapi_client(world)
    answer = await Person(world).browser.get(second.address(request_uri=await first.pushed()))
    assert is_shown_here(answer, "invalid_request_uri")


async def test_par_attempt_invalid_http_method(world: World) -> None:
    client = await fapi_client(world)
    form = {**client.request(), "client_assertion": client.assertion()}
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        assert 405 == (await http.put("/oauth2/par", data=form)).status_code


async def test_par_authorization_request_containing_request__uri_form_param(world: World) -> None:
    answer = await (await fapi_client(world)).push(request_uri="urn:ietf:params:oauth:request_uri:x")
    assert is_refused(answer, "invalid_request", "invalid_request_object", "request_uri_not_supported")


async def test_par_authorization_request_containing_request__uri(world: World, warn: Warn) -> None:
    warn("the module is of the plan for signed requests: this server takes no request object, whatever it holds")
    client = await fapi_client(world)
    held = {**client.request(), "iss": client.id, "request_uri": "urn:ietf:params:oauth:request_uri:x"}
    assert is_refused(await client.push(request=unsigned({"alg": "none"}, held)), "request_not_supported")


async def test_par_without_duplicate_parameters(world: World) -> None:
    """The browser brings `client_id` and `request_uri` alone, as it does in all these twins."""
    await authorized(await fapi_client(world))


async def test_par_ensure_reused_request_uri_prior_to_auth_completion_succeeds(world: World) -> None:
    client, person = await fapi_client(world), Person(world)
    request_uri = await client.pushed()
    began = await person.browser.get(client.address(request_uri=request_uri))
    assert began.headers["location"].startswith(world.sandbox.url)
    checked(client, await through_oidc(person, client, request_uri=request_uri))


async def test_par_ensure_pkce_required(world: World) -> None:
    answer = await (await fapi_client(world)).push(code_challenge=None, code_challenge_method=None)
    assert is_refused(answer, "invalid_request")


async def test_par_plain_pkce_rejected(world: World) -> None:
    answer = await (await fapi_client(world)).push(code_challenge=VERIFIER, code_challenge_method="plain")
    assert is_refused(answer, "invalid_request")
