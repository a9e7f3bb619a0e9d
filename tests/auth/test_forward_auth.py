"""Forward authentication: a gateway asks before it lets a request pass, and gets the upstream token or the refusal."""

import base64
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from joserfc import jwt

from scopefold.auth.oauth.keys import keys_of
from scopefold.auth.web.service import now
from tests.auth.gateways import Gateway, access_token, resource_of
from tests.auth.providers import vault
from tests.auth.test_requests import claims_of
from tests.auth.world import JIRA_SCOPES, Person, World, query_of, until
from tests.support.logs import CONFLUENCE, provisioned


def credentials(gateway: Gateway, secret: str | None = None) -> dict[str, str]:
    """The gateway's own header."""
    told = f"{gateway.app.id}:{gateway.app.secret if secret is None else secret}"
    return {"x-gateway-authorization": f"Basic {base64.b64encode(told.encode()).decode()}"}


async def ask(
    gateway: Gateway, token: str, *, method: str = "GET", headers: Any = None, **asked: str
) -> httpx.Response:
    """What a gateway asks for a request with this token."""
    sent = {"authorization": f"Bearer {token}", **credentials(gateway), **(headers or {})}
    async with gateway.app.world.auth.client() as http:
        http.headers.pop("authorization", None)
        return await http.request(method, "/forward-auth", params={"resource": gateway.resource, **asked}, headers=sent)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
async def test_a_request_passes_with_the_upstream_token(world: World, jira: str, method: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    answer = await ask(gateway, token, method=method)
    assert (200, b"") == (answer.status_code, answer.content), answer.text
    assert "no-store" == answer.headers["cache-control"]
    exchanged = (await gateway.exchange(token)).json()["access_token"]
    assert f"Bearer {exchanged}" == answer.headers["authorization"]


async def test_C07_what_is_missing_is_told_in_the_form_that_the_gateway_asks_for(world: World) -> None:
    idp = await world.idp_with_jira()
    app, gateway, person = await world.register_client(), await Gateway.registered(world, idp), Person(world)
    token = await access_token(person, app, idp_hint=idp)
    await world.publish(provisioned(f"jira-{idp}", (*JIRA_SCOPES, CONFLUENCE[0]), idp, "2.0.0"), by="provisioner")
    challenge, bad_gateway = await ask(gateway, token), await ask(gateway, token, missing="bad-gateway")
    assert (403, 502) == (challenge.status_code, bad_gateway.status_code)
    sentence = f"Stored IdP token missing required scopes: [{CONFLUENCE[0]}]. User must re-authenticate with step-up."
    for answer in (challenge, bad_gateway):
        assert "application/problem+json" == answer.headers["content-type"]
        assert (sentence, CONFLUENCE[0]) == (answer.json()["detail"], answer.json()["scope"])
        assert 'Bearer error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert "authorization" not in challenge.headers
    # The link leads through the IdP's consent to a page that says it is done; then the call passes.
    person.address = challenge.json()["step_up_uri"].removeprefix(world.auth.url)
    answer = await person.browser.get(person.address)
    assert 303 == answer.status_code, answer.text
    person.address = answer.headers["location"]
    back = await person.come_back(app)
    assert 303 == back.status_code, back.text
    done = await person.browser.get(back.headers["location"])
    assert (200, True) == (done.status_code, "You gave the access" in done.text)
    assert "code" in query_of(back)
    assert 200 == (await ask(gateway, token)).status_code


async def test_a_user_who_was_never_at_the_idp_is_told_which(world: World, jira: str) -> None:
    other = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, jira, resource_of(other))
    token = await access_token(Person(world), app, idp_hint=jira)
    answer = await ask(gateway, token, resource=resource_of(other))
    assert 403 == answer.status_code, answer.text
    assert other == answer.json()["idp"]
    assert 'error="insufficient_user_authentication"' in answer.headers["www-authenticate"]


async def test_C03_a_gateway_gets_only_what_it_is_registered_for(world: World, jira: str) -> None:
    other = await world.idp_with_jira()
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    assert 403 == (await ask(gateway, token, resource=resource_of(other))).status_code
    assert 200 == (await ask(gateway, token)).status_code


@pytest.mark.parametrize(
    "headers",
    [
        {"x-gateway-authorization": ""},
        {"x-gateway-authorization": "Basic bm9ib2R5Om5vdGhpbmc="},
        {"x-gateway-authorization": "Basic %%%"},
        {"x-gateway-authorization": "Bearer x"},
        {"x-gateway-authorization": b"Basic \xe9"},
    ],
)
async def test_C01_nobody_else_gets_a_token(world: World, jira: str, headers: Any) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    answer = await ask(gateway, token, headers=headers)
    assert (401, False) == (answer.status_code, "authorization" in answer.headers)


async def test_C01_a_client_without_the_grant_is_no_gateway(world: World, jira: str) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    gateway = Gateway(app, resource_of(jira))
    assert 401 == (await ask(gateway, "x")).status_code


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer x.y.z", "Basic YTpi", "DPoP x"])
async def test_who_brings_no_token_of_ours_is_challenged(world: World, jira: str, authorization: str) -> None:
    gateway = await Gateway.registered(world, jira)
    answer = await ask(gateway, "", headers={"authorization": authorization})
    assert 401 == answer.status_code
    assert "resource_metadata=" in answer.headers["www-authenticate"]
    assert "application/problem+json" == answer.headers["content-type"]
    # Without a session, too, it is said at which IdP the resource's users log in, and where that begins.
    told, link = answer.json(), f"{world.auth.url}/account/connect?resource={quote(gateway.resource, safe='')}"
    assert (gateway.resource, jira, link) == (told["resource"], told["idp"], told["step_up_uri"])
    assert f'idp="{jira}", step_up_uri="{link}"' in answer.headers["www-authenticate"]
    onward = await Person(world).browser.get(told["step_up_uri"].removeprefix(world.auth.url))
    assert 303 == onward.status_code, onward.text


async def test_a_resource_that_nothing_serves_names_no_idp(world: World, jira: str) -> None:
    gateway = await Gateway.registered(world, jira, "urn:connector:nobody:nothing")
    answer = await ask(gateway, "", headers={"authorization": ""}, resource="urn:connector:nobody:nothing")
    assert (401, None) == (answer.status_code, answer.json().get("idp"))


async def test_C09_what_was_revoked_passes_no_more(world: World, jira: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    person = Person(world)
    token = await access_token(person, app, idp_hint=jira)
    assert 200 == (await ask(gateway, token)).status_code
    async with httpx.AsyncClient() as http:
        form = {"token": token, "client_id": app.id}
        assert 200 == (await http.post(f"{world.auth.url}/oauth2/revoke", data=form)).status_code
    assert 401 == (await ask(gateway, token)).status_code


async def test_a_gateway_that_appends_the_path_asks_by_headers_and_the_users_query_is_not_read(
    world: World, jira: str
) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    own = {"authorization": f"Bearer {token}", **credentials(gateway)}
    async with world.auth.client() as http:
        path = "/forward-auth/rest/api/3/myself?resource=urn:connector:other:one&a=b&a=c"
        passed = await http.get(path, headers={**own, "x-gateway-resource": gateway.resource})
        refused = await http.get(path, headers=own)
    assert (200, 400) == (passed.status_code, refused.status_code), refused.text


async def aged(world: World, token: str, seconds: int) -> str:
    """The same token, of a login so long ago: signed as it was."""
    async with vault(world) as opened:
        keys = keys_of((await opened.signing_ring())[0])
    claims = claims_of(token)
    header = {"alg": "ES256", "typ": "at+jwt", "kid": keys.es256.kid}
    return str(jwt.encode(header, {**claims, "auth_time": claims["auth_time"] - seconds}, keys.es256))


async def test_C17_a_gateway_asks_for_a_login_that_is_recent_and_strong_enough(world: World, jira: str) -> None:
    app, gateway = await world.register_client(), await Gateway.registered(world, jira)
    token = await access_token(Person(world), app, idp_hint=jira)
    old, known = await aged(world, token, 3600), claims_of(token)["acr"]
    assert [200] * 3 == [
        (await ask(gateway, one, **asked)).status_code
        for one, asked in (
            (old, {}),
            (token, {"max_age": "600"}),
            (old, {"max_age": "7200", "acr_values": f"other {known}"}),
        )
    ]
    refusals: list[tuple[str, dict[str, str]]] = [
        (old, {"max_age": "600"}),
        (token, {"acr_values": "strong stronger"}),
        (old, {"max_age": "1", "acr_values": "x"}),
    ]
    for one, asked in refusals:
        answer = await ask(gateway, one, **asked)
        assert (401, "application/problem+json") == (answer.status_code, answer.headers["content-type"]), answer.text
        challenge, told = answer.headers["www-authenticate"], answer.json()
        assert 'Bearer realm="scopefold", error="insufficient_user_authentication"' in challenge
        assert asked == {name: told[name] for name in ("max_age", "acr_values") if name in told}
        assert all(f'{name}="{value}"' in challenge for name, value in asked.items())
        assert ("step_up_uri" in told, "authorization" in answer.headers) == (False, False)
    own = {"authorization": f"Bearer {old}", **credentials(gateway), "x-gateway-resource": gateway.resource}
    async with world.auth.client() as http:
        by_header = await http.get("/forward-auth/x", headers={**own, "x-gateway-max-age": "600"})
        wrong = await http.get("/forward-auth/x", headers={**own, "x-gateway-max-age": "-1"})
    assert (401, "600", 400) == (by_header.status_code, by_header.json()["max_age"], wrong.status_code)


async def test_C17_the_login_that_a_challenge_asks_for_satisfies_it(world: World, jira: str) -> None:
    """The client asks with what the challenge says, and the user is seen at the IdP again."""
    app, gateway, person = await world.register_client(), await Gateway.registered(world, jira), Person(world)
    first = await access_token(person, app, idp_hint=jira)

    async def is_too_old() -> bool:
        return (await ask(gateway, first, max_age="2")).status_code == 401

    await until(is_too_old)
    before = claims_of(first)["auth_time"]
    again = await access_token(person, app, idp_hint=jira, max_age="2")
    assert claims_of(again)["auth_time"] > before
    lasts = str(int(now().timestamp()) - before - 1)
    assert [401, 200] == [(await ask(gateway, one, max_age=lasts)).status_code for one in (first, again)]
