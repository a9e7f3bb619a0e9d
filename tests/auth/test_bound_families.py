"""What a login was given for, and whose key it needs, holds for all that comes of it (B18, B29-B31, RFC 8707)."""

from typing import Any

import httpx
import pytest

from tests.auth.holders import Holder, ath_of
from tests.auth.test_client_authentication import EC, TYPE, assertion, is_unknown, signing_client
from tests.auth.test_registration import registered
from tests.auth.test_requests import API, OTHER_API, claims_of
from tests.auth.tokens import REFRESHING, call, introspected, resource_server
from tests.auth.world import App, Person, World, query_of


async def sent(app: App, form: dict[str, Any], holder: Holder | None, *, path: str = "/oauth2/token") -> httpx.Response:
    """A request of a client with a proof of this key, or without one."""
    headers = {} if holder is None else {"dpop": holder.proof("POST", f"{app.world.auth.url}{path}")}
    auth = (app.id, app.secret) if app.secret else None
    return await call(app.world, path, form, headers=headers, auth=auth)


async def begun(world: World, idp: str, holder: Holder | None, **client: Any) -> tuple[App, Any]:
    """A login of an app that gets refresh tokens, redeemed with this key."""
    app, alice = await world.register_client(**{**REFRESHING, **client}), Person(world)
    code = await alice.log_in(app, idp_hint=idp, scope="openid offline_access")
    answer = await sent(app, app.swap_form(code), holder)
    assert 200 == answer.status_code, answer.text
    return app, answer.json()


def again(app: App, token: str, **more: Any) -> dict[str, Any]:
    return {"grant_type": "refresh_token", "refresh_token": token, "client_id": app.id, **more}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def test_B31_a_public_clients_refresh_tokens_need_the_key_that_the_code_was_redeemed_with(
    world: World, jira: str
) -> None:
    holder, other = Holder(), Holder()
    app, first = await begun(world, jira, holder)
    form = again(app, first["refresh_token"])
    assert (400, "invalid_dpop_proof") == refusal(await sent(app, form, None))
    assert (400, "invalid_grant") == refusal(await sent(app, form, other))
    second = await sent(app, form, holder)
    assert (200, "DPoP") == (second.status_code, second.json()["token_type"]), "a thief's tries end nothing"
    assert second.headers["dpop-nonce"]
    told = await introspected(await resource_server(world), second.json()["access_token"])
    assert ("DPoP", {"jkt": holder.jkt}) == (told["token_type"], told["cnf"])
    form = again(app, second.json()["refresh_token"])
    assert (400, "invalid_grant") == refusal(await sent(app, form, other)), "the next one is bound, too"


async def test_a_proof_that_was_used_uses_no_refresh_token_up(world: World, jira: str) -> None:
    holder = Holder()
    app, first = await begun(world, jira, holder)
    proof = {"dpop": holder.proof("POST", f"{world.auth.url}/oauth2/token")}
    second = await call(world, "/oauth2/token", again(app, first["refresh_token"]), headers=proof)
    form = again(app, second.json()["refresh_token"])
    assert (400, "invalid_dpop_proof") == refusal(await call(world, "/oauth2/token", form, headers=proof))
    assert 200 == (await sent(app, form, holder)).status_code


async def test_a_confidential_client_which_has_credentials_may_change_its_key(world: World, jira: str) -> None:
    app, first = await begun(world, jira, Holder(), token_endpoint_auth_method="client_secret_basic")
    new = Holder()
    answer = await sent(app, again(app, first["refresh_token"]), new)
    assert {"jkt": new.jkt} == claims_of(answer.json()["access_token"])["cnf"]


async def test_a_refresh_narrows_what_the_login_was_for_and_never_widens_it(world: World, jira: str) -> None:
    app, alice = await world.register_client(**REFRESHING, resources=[API, OTHER_API]), Person(world)
    code = await alice.log_in(app, idp_hint=jira, scope="openid offline_access", resource=API)
    first = (await app.swap(code)).json()
    form = again(app, first["refresh_token"])
    for wider in (OTHER_API, world.auth.url, "https://nobody.example"):
        assert (400, "invalid_target") == refusal(await sent(app, {**form, "resource": wider}, None)), wider
    second = (await sent(app, {**form, "resource": API}, None)).json()
    third = (await sent(app, again(app, second["refresh_token"]), None)).json()
    assert [API] * 3 == [claims_of(one["access_token"])["aud"] for one in (first, second, third)]


async def test_a_clients_own_token_is_bound_and_for_what_was_asked(world: World) -> None:
    own = {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic"}
    app, holder = await world.register_client(**own, scopes=["reports:read"], resources=[API]), Holder()
    form = {"grant_type": "client_credentials", "resource": API}
    answer = await sent(app, form, holder)
    claims = claims_of(answer.json()["access_token"])
    assert ("DPoP", API, {"jkt": holder.jkt}) == (answer.json()["token_type"], claims["aud"], claims["cnf"])
    assert (400, "invalid_target") == refusal(await sent(app, {**form, "resource": OTHER_API}, None))
    strict = await world.register_client(**own, scopes=["reports:read"], dpop_bound_access_tokens=True)
    assert (400, "invalid_dpop_proof") == refusal(await sent(strict, {"grant_type": "client_credentials"}, None))


async def test_B29_userinfo_takes_a_bound_token_with_a_proof_and_never_as_bearer(world: World, jira: str) -> None:
    holder, other, url = Holder(), Holder(), f"{world.auth.url}/oauth2/userinfo"
    _, tokens = await begun(world, jira, holder)
    token = tokens["access_token"]
    proof = holder.proof("GET", url, ath=ath_of(token))
    rows: list[tuple[str, str | None, int]] = [
        ("Bearer", None, 401),
        ("Bearer", proof, 401),
        ("DPoP", None, 401),
        ("DPoP", other.proof("GET", url, ath=ath_of(token)), 401),
        ("DPoP", holder.proof("POST", url, ath=ath_of(token)), 401),
        ("DPoP", proof, 200),
        ("DPoP", proof, 401),
    ]
    async with httpx.AsyncClient(timeout=20) as http:
        for scheme, one, status in rows:
            headers = {"authorization": f"{scheme} {token}"} | ({"dpop": one} if one else {})
            answer = await http.get(url, headers=headers)
            assert status == answer.status_code, (scheme, answer.text)
        in_form = await http.post(url, data={"access_token": token}, headers={"dpop": proof})
    assert (401, "invalid_token") == refusal(in_form), "a form carries bearer tokens alone"


async def test_A20_a_client_with_keys_pushes_with_an_assertion_once(world: World, jira: str) -> None:
    own = {"grant_types": ["authorization_code"], "scopes": ["openid", "profile", "email"]}
    app, alice = await signing_client(world, EC, **own), Person(world)
    references: list[str] = []
    for audience in (world.auth.url, f"{world.auth.url}/oauth2/token", f"{world.auth.url}/oauth2/par"):
        proof = assertion(app, EC, aud=audience)
        form = {**app.request(idp_hint=jira), "client_assertion_type": TYPE, "client_assertion": proof}
        pushed = await call(world, "/oauth2/par", form)
        assert 201 == pushed.status_code, pushed.text
        references.append(pushed.json()["request_uri"])
        assert is_unknown(await call(world, "/oauth2/par", form)), "used before"
    query = httpx.QueryParams(client_id=app.id, request_uri=references[-1])
    alice.address = f"/authorize?{query}"
    assert "code" in query_of(await alice.come_back(app))
    elsewhere = assertion(app, EC, aud=f"{world.auth.url}/oauth2/par")
    form = {"grant_type": "authorization_code", "client_assertion_type": TYPE, "client_assertion": elsewhere}
    assert is_unknown(await call(world, "/oauth2/token", form)), "what is for one endpoint opens no other"


async def test_A20_what_was_pushed_to_one_issuer_is_unknown_to_another(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    pushed = await call(world, "/default/oauth2/par", app.request(idp_hint=jira))
    query = httpx.QueryParams(client_id=app.id, request_uri=pushed.json()["request_uri"])
    assert 400 == (await alice.browser.get(f"/authorize?{query}")).status_code
    alice.address = f"/default/authorize?{query}"
    told = query_of(await alice.come_back(app))
    assert (f"{world.auth.url}/default", True) == (told["iss"], "code" in told)


async def test_a_choice_at_an_organisation_leads_back_to_it(world: World, jira: str) -> None:
    app, alice = await world.register_client(), Person(world)
    await world.idp_with_jira()  # one alone would leave no choice
    page = await alice.browser.get(f"/default{app.address()}")
    assert 200 == page.status_code
    links = [one for one in page.text.split('"') if f"idp_hint={jira}" in one]
    assert links
    assert all(one.startswith("/default/authorize?") for one in links)


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_issuer_itself_is_a_resource_with_a_slash_or_without(world: World, jira: str, slash: str) -> None:
    app, alice = await world.register_client(), Person(world)
    code = await alice.log_in(app, idp_hint=jira, resource=f"{world.auth.url}{slash}")
    answer = await app.swap(code, resource=f"{world.auth.url}{slash}")
    assert world.auth.url == claims_of(answer.json()["access_token"])["aud"]


async def test_who_registers_itself_gets_the_id_tokens_and_the_bounds_that_it_asked_for(guarded: World) -> None:
    asked = {
        "id_token_signed_response_alg": "ES256",
        "require_pushed_authorization_requests": True,
        "dpop_bound_access_tokens": True,
    }
    assert asked.items() <= (await registered(guarded, **asked)).items()
