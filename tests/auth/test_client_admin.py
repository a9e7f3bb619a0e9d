"""Clients by the admin API: what may be said of one, replacing, removing, a new secret; PKCE by exception."""

import asyncio
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from tests.auth.world import App, Person, World, query_of
from tests.support.browsing import Window

CLIENTS = "/api/v1/organizations/default/clients"
PUBLIC_KEYS = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
EVERYTHING: dict[str, Any] = {
    "client_name": "Everything",
    "redirect_uris": ["https://app.example/callback"],
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "scopes": ["openid", "reports:read"],
    "token_endpoint_auth_method": "private_key_jwt",
    "application_type": "web",
    "require_pkce": False,
    "require_nonce": False,
    "post_logout_redirect_uris": ["https://app.example/bye"],
    "backchannel_logout_uri": "https://app.example/logout",
    "backchannel_logout_session_required": True,
    "jwks": PUBLIC_KEYS,
    "jwks_uri": None,
    "resource_server": True,
}


async def test_all_that_is_said_of_a_client_is_kept_and_shown(world: World) -> None:
    made = await world.admin("PUT", f"{CLIENTS}/everything", json=EVERYTHING)
    again = await world.admin("PUT", f"{CLIENTS}/everything", json=EVERYTHING)
    shown = await world.admin("GET", f"{CLIENTS}/everything")
    assert [201, 200, 200] == [one.status_code for one in (made, again, shown)], made.text
    unsaid: dict[str, Any] = {"refresh_idle_seconds": None, "refresh_absolute_seconds": None, "resources": []}
    unsaid |= {"token_endpoint_auth_signing_alg": None, "exchange_resources": []}
    unsaid |= {"id_token_signed_response_alg": "RS256", "dpop_bound_access_tokens": False}
    unsaid["require_pushed_authorization_requests"] = False
    expected = {**unsaid, **EVERYTHING, "client_id": "everything", "origin": "operator"}
    assert expected == made.json() == again.json() == shown.json()
    assert 204 == (await world.admin("DELETE", f"{CLIENTS}/everything")).status_code


BAD: list[tuple[dict[str, Any], str]] = [
    ({"redirect_uris": ["http://app.example/"]}, "invalid-redirect-uri"),
    ({"redirect_uris": ["com.example.app:/cb"], "application_type": "web"}, "invalid-redirect-uri"),
    ({"post_logout_redirect_uris": ["javascript:x"]}, "invalid-redirect-uri"),
    ({"require_pkce": False, "token_endpoint_auth_method": "none", "jwks": None}, "invalid-client-metadata"),
    ({"require_pkce": False, "scopes": ["reports:read"]}, "invalid-client-metadata"),
    ({"token_endpoint_auth_method": "none", "require_pkce": True, "require_nonce": True}, "invalid-client-metadata"),
    ({"require_pkce": True, "require_nonce": False}, "invalid-client-metadata"),
    ({"jwks": None}, "invalid-client-metadata"),
    ({"jwks_uri": "https://app.example/jwks"}, "invalid-client-metadata"),
    ({"jwks": {"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}}, "invalid-client-metadata"),
    ({"jwks": None, "jwks_uri": "https://10.0.0.1/jwks"}, "invalid-client-metadata"),
    ({"backchannel_logout_uri": "http://app.example/logout"}, "invalid-client-metadata"),
    ({"backchannel_logout_uri": "https://169.254.169.254/"}, "invalid-client-metadata"),
    ({"grant_types": ["implicit"]}, "invalid-body"),
    ({"grant_types": ["password"]}, "invalid-body"),
    ({"application_type": "other"}, "invalid-body"),
    ({"secret_hash": "x"}, "invalid-body"),
]


@pytest.mark.parametrize(
    ("changed", "kind"), BAD, ids=[f"{n}-{'-'.join(changed)}" for n, (changed, _) in enumerate(BAD)]
)
async def test_a_client_that_would_be_unsafe_is_refused(world: World, changed: dict[str, Any], kind: str) -> None:
    answer = await world.admin("PUT", f"{CLIENTS}/unsafe", json={**EVERYTHING, **changed})
    assert (422, f"urn:scopefold:problem:{kind}") == (answer.status_code, answer.json()["type"]), answer.text
    assert 404 == (await world.admin("GET", f"{CLIENTS}/unsafe")).status_code


async def test_ids_of_clients_that_register_themselves_are_reserved(world: World) -> None:
    answer = await world.admin("PUT", f"{CLIENTS}/dc_mine", json=EVERYTHING)
    assert (422, "urn:scopefold:problem:reserved-client-id") == (answer.status_code, answer.json()["type"])


async def test_an_id_may_hold_any_character(world: World) -> None:
    body = {"client_name": "Odd", "redirect_uris": ["https://app.example/callback"]}
    for client_id in ("https%3A%2F%2Fapp.example%2Fclient%3Fa%3D1", "a%2Fsecret", "a+b%25"):
        made = await world.admin("PUT", f"{CLIENTS}/{client_id}", json=body)
        assert 201 == made.status_code
        assert [200, 204] == [
            (await world.admin(method, f"{CLIENTS}/{client_id}")).status_code for method in ("GET", "DELETE")
        ]
        assert httpx.URL(f"http://x/{client_id}").path[1:] == made.json()["client_id"]


async def credentials_work(world: World, app: App, idp: str, person: Person, secret: str | None) -> int:
    code = query_of(await person.browser.get(app.address(idp_hint=idp, prompt="none")))["code"]
    return (await app.swap(code, client_secret=secret)).status_code


async def test_a_new_secret_voids_the_old_one_and_is_told_once(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(token_endpoint_auth_method="client_secret_post")
    await alice.log_in(app, idp_hint=idp)
    assert 200 == await credentials_work(world, app, idp, alice, app.secret)
    rotated = await world.admin("POST", f"{CLIENTS}/{app.id}/secret")
    new = rotated.json()["client_secret"]
    assert new != app.secret
    assert [401, 200] == [await credentials_work(world, app, idp, alice, secret) for secret in (app.secret, new)]
    for answer in (await world.admin("GET", f"{CLIENTS}/{app.id}"), await world.admin("GET", CLIENTS)):
        assert new not in answer.text
    public = await world.register_client()
    refused = await world.admin("POST", f"{CLIENTS}/{public.id}/secret")
    assert (422, 404) == (refused.status_code, (await world.admin("POST", f"{CLIENTS}/none/secret")).status_code)


async def test_a_replaced_client_keeps_its_secret_unless_it_may_have_none(world: World) -> None:
    app = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    body = {"client_name": "New", "redirect_uris": ["https://app.example/other"]}
    replaced = await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)
    assert (200, "New", False) == (
        replaced.status_code,
        replaced.json()["client_name"],
        "client_secret" in replaced.json(),
    )
    public = await world.admin("PUT", f"{CLIENTS}/{app.id}", json={**body, "token_endpoint_auth_method": "none"})
    assert "client_secret" not in public.json()
    confidential = await world.admin("PUT", f"{CLIENTS}/{app.id}", json=body)
    assert confidential.json()["client_secret"] != app.secret


async def test_of_parallel_replacements_none_is_lost_half(world: World) -> None:
    app = await world.register_client()
    bodies = [{"client_name": f"n{n}", "redirect_uris": [f"https://app.example/{n}"]} for n in range(4)]
    answers = await asyncio.gather(*(world.admin("PUT", f"{CLIENTS}/{app.id}", json=body) for body in bodies))
    assert {200, 503} >= {one.status_code for one in answers}
    left = (await world.admin("GET", f"{CLIENTS}/{app.id}")).json()
    assert left["redirect_uris"] == [f"https://app.example/{left['client_name'][1:]}"]


async def test_a_removed_client_logs_nobody_in(world: World) -> None:
    app = await world.register_client()
    browser = Window(world.auth.url)
    assert 303 == (await browser.get(app.address(prompt="none"))).status_code
    assert 204 == (await world.admin("DELETE", f"{CLIENTS}/{app.id}")).status_code
    assert 404 == (await world.admin("DELETE", f"{CLIENTS}/{app.id}")).status_code
    assert 400 == (await browser.get(app.address(prompt="none"))).status_code


async def test_A14_an_exempted_client_needs_a_nonce_instead_of_pkce(world: World) -> None:
    """RFC 9700, section 2.1.1: a confidential OpenID Connect client may rely on the nonce."""
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(token_endpoint_auth_method="client_secret_post", require_pkce=False)
    without: dict[str, str | None] = {"code_challenge": None, "code_challenge_method": None, "idp_hint": idp}
    code = await alice.log_in(app, **without)
    downgraded = await app.swap(code, client_secret=app.secret)
    assert 400 == downgraded.status_code, "a verifier where no challenge was sent (RFC 9700, section 4.8.2)"
    assert 200 == (await app.swap(code, client_secret=app.secret, code_verifier=None)).status_code
    for changed in (
        {"nonce": None},
        {"nonce": ""},
        {"scope": "profile"},
        {"code_challenge_method": "S256"},
        {"code_challenge_method": "plain", "code_challenge": "x" * 43},
    ):
        told = query_of(await alice.browser.get(app.address(**{**without, **changed})))
        assert "invalid_request" == told["error"], changed
    with_challenge = query_of(await alice.browser.get(app.address(idp_hint=idp)))["code"]
    refused = await app.swap(with_challenge, client_secret=app.secret, code_verifier=None)
    assert 400 == refused.status_code, "who sends a challenge is held to it"


async def test_A14_without_a_nonce_goes_only_who_is_registered_so(world: World) -> None:
    """What the suite's Basic plan needs. A public client, or one that asks for no identity, can never be so."""
    idp, alice = await world.idp_with_jira(), Person(world)
    kind = {"token_endpoint_auth_method": "client_secret_post", "require_pkce": False, "require_nonce": False}
    app = await world.register_client(**kind)
    without: dict[str, str | None] = {"code_challenge": None, "code_challenge_method": None, "nonce": None}
    code = await alice.log_in(app, idp_hint=idp, **without)
    assert 200 == (await app.swap(code, client_secret=app.secret, code_verifier=None)).status_code
    told = query_of(await alice.browser.get(app.address(idp_hint=idp, scope="profile", **without)))
    assert "invalid_request" == told["error"]
