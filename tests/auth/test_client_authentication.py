"""Clients prove who they are: by secret, or by an assertion that they signed (RFC 7523)."""

import asyncio
import secrets
import time
from typing import Any

import httpx
import pytest
from authlib.oauth2.rfc7523 import private_key_jwt_sign
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from tests.auth.holders import Holder
from tests.auth.tokens import Answer, call, introspected, resource_server
from tests.auth.world import App, World

Key = RSAKey | ECKey | OKPKey
RSA, EC = RSAKey.generate_key(2048), ECKey.generate_key("P-256")
ED, OTHER = OKPKey.generate_key("Ed25519"), ECKey.generate_key("P-256")
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OWN = {"grant_types": ["client_credentials"], "scopes": ["openid", "reports:read", "reports:write"]}


def public(*keys: Key, **members: Any) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), **members} for key in keys]}


async def signing_client(world: World, *keys: Key, **changed: Any) -> App:
    return await world.register_client(
        **{**OWN, "token_endpoint_auth_method": "private_key_jwt", "jwks": public(*keys), **changed}
    )


def assertion(app: App, key: Any, alg: str = "ES256", header: dict[str, Any] | None = None, **changed: Any) -> str:
    now = int(time.time())
    right = {"iss": app.id, "sub": app.id, "aud": app.world.auth.url, "iat": now, "exp": now + 60}
    claims = {**right, "jti": secrets.token_hex(8), **changed}
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, **(header or {})}, kept, key, algorithms=[alg])


async def ask(app: App, proof: str, **more: Any) -> Answer:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": proof, **more}
    return await call(app.world, "/oauth2/token", form)


def is_unknown(answer: Answer) -> bool:
    told = (answer.status_code, answer.json()["error"], answer.headers["cache-control"])
    assert answer.json()["error_description"].endswith("."), "in words, not as a list of the library's"
    return told == (401, "invalid_client", "no-store") and "www-authenticate" in answer.headers


SIGNERS = [(RSA, "RS256"), (RSA, "PS256"), (EC, "ES256"), (ED, "EdDSA"), (ED, "Ed25519")]


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("key", "alg"), SIGNERS)
async def test_oidcc_ensure_client_assertion_with_iss_aud_succeeds(world: World, key: Key, alg: str) -> None:
    app = await signing_client(world, key)
    for audience in (world.auth.url, f"{world.auth.url}/oauth2/token", [world.auth.url]):
        answer = await ask(app, assertion(app, key, alg, aud=audience), client_id=app.id)
        assert (200, "Bearer") == (answer.status_code, answer.json()["token_type"]), answer.text


async def test_an_off_the_shelf_signer_needs_no_configuration(world: World) -> None:
    """Authlib's own client signs for an hour, with the token endpoint as audience."""
    app = await signing_client(world, RSA)
    proof = private_key_jwt_sign(RSA, app.id, f"{world.auth.url}/oauth2/token", alg="RS256")
    assert 200 == (await ask(app, proof)).status_code


async def test_of_several_keys_the_kid_says_which(world: World) -> None:
    first, second = ECKey.generate_key("P-256", {"kid": "1"}), ECKey.generate_key("P-256", {"kid": "2"})
    app = await signing_client(world, first, second)
    assert 200 == (await ask(app, assertion(app, second, header={"kid": "2"}))).status_code
    assert is_unknown(await ask(app, assertion(app, second, header={"kid": "1"})))
    assert is_unknown(await ask(app, assertion(app, second, header={"kid": "3"})))
    assert is_unknown(await ask(app, assertion(app, second)))


NOW = time.time
BAD: list[tuple[str, dict[str, Any]]] = [
    ("wrong-aud", {"aud": "https://other.example"}),
    ("aud-of-others-too", {"aud": ["https://other.example", "{issuer}"]}),
    ("aud-empty", {"aud": []}),
    ("aud-callback", {"aud": "{issuer}/authorize"}),
    ("no-aud", {"aud": None}),
    ("no-sub", {"sub": None}),
    ("sub-number", {"sub": 1}),
    ("no-iss", {"iss": None}),
    ("other-iss", {"iss": "other"}),
    ("no-exp", {"exp": None}),
    ("exp-text", {"exp": "9999999999"}),
    ("exp-is-5-minutes-in-past", {"exp": int(NOW()) - 300}),
    ("exp-in-a-day", {"exp": int(NOW()) + 86400}),
    ("nbf-ahead", {"nbf": int(NOW()) + 7200}),
    ("iat-ahead", {"iat": int(NOW()) + 7200}),
    ("no-jti", {"jti": None}),
    ("jti-number", {"jti": 1}),
    ("jti-empty", {"jti": ""}),
]


async def test_fapi2_a_wrong_assertion_authenticates_nobody(world: World) -> None:
    """ensure-client-assertion-with-wrong-aud, -no-sub, -exp-is-5-minutes-in-past, and the class."""
    app = await signing_client(world, EC)
    for case, changed in BAD:
        told = {name: _filled(value, world.auth.url) for name, value in changed.items()}
        answer = await ask(app, assertion(app, EC, **told), client_id=app.id)
        assert is_unknown(answer), (case, answer.text)


def _filled(value: Any, issuer: str) -> Any:
    if isinstance(value, list):
        return [_filled(one, issuer) for one in value]
    return value.replace("{issuer}", issuer) if isinstance(value, str) else value


async def test_D01_D02_a_signature_that_is_not_the_clients_authenticates_nobody(world: World) -> None:
    app, fapi = (
        await signing_client(world, EC),
        await signing_client(world, RSA, token_endpoint_auth_signing_alg="PS256"),
    )
    good = assertion(app, EC)
    head, body, signature = good.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    wrong = [
        assertion(app, OTHER),
        assertion(app, OctKey.import_key("s" * 40), "HS256"),
        f"{unsigned}.{body}.",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{body}",
        "", "x", "..", "a.b.c", "é.é.é", "x" * 100_000,
        f"{head}.{'W1tb' * 1000}.{signature}",
        f"{'W1tb' * 1000}.{body}.{signature}",
    ]  # fmt: skip
    for proof in wrong:
        assert is_unknown(await ask(app, proof, client_id=app.id)), proof[:80]
    assert is_unknown(await ask(app, good, client_assertion_type="urn:other"))
    assert is_unknown(await ask(fapi, assertion(fapi, RSA, "RS256"))), "fapi2 ensure-signed-client-assertion-with-RS256"
    assert 200 == (await ask(fapi, assertion(fapi, RSA, "PS256"))).status_code
    assert 200 == (await ask(app, good)).status_code


async def test_an_assertion_is_good_for_one_use_at_all_endpoints(world: World) -> None:
    """Of 20 parallel uses, too."""
    app = await signing_client(world, EC)
    proof = assertion(app, EC)
    answers = await asyncio.gather(*(ask(app, proof) for _ in range(20)))
    assert [200] + [401] * 19 == sorted(answer.status_code for answer in answers)
    form = {"token": "x", "client_assertion_type": TYPE, "client_assertion": proof}
    for path in ("/oauth2/introspect", "/oauth2/revoke"):
        assert is_unknown(await call(world, path, form))
    fresh = {**form, "client_assertion": assertion(app, EC)}
    assert {"active": False} == (await call(world, "/oauth2/introspect", fresh)).json()


async def test_B13_each_client_has_one_way_and_no_other(world: World) -> None:
    signer = await signing_client(world, EC)
    holder = await world.register_client(**OWN, token_endpoint_auth_method="client_secret_basic")
    anyone = await world.register_client()
    form = {"grant_type": "client_credentials"}
    assert is_unknown(await call(world, "/oauth2/token", {**form, "client_id": signer.id}))
    assert is_unknown(await call(world, "/oauth2/token", {**form, "client_id": signer.id, "client_secret": "x"}))
    assert is_unknown(await call(world, "/oauth2/token", form, auth=(signer.id, "x")))
    assert is_unknown(await call(world, "/oauth2/token", form, auth=(signer.id, "")))
    assert is_unknown(await ask(holder, assertion(holder, EC)))
    assert is_unknown(await ask(anyone, assertion(anyone, EC)))
    assert is_unknown(await ask(signer, assertion(signer, EC), client_id=holder.id))
    both = await ask(signer, assertion(signer, EC), client_secret="x")
    assert (400, "invalid_request") == (both.status_code, both.json()["error"])
    assert is_unknown(await call(world, "/oauth2/token", {**form, "client_id": anyone.id})), (
        "B13: not for public clients"
    )


async def test_B24_client_credentials_are_for_what_the_client_is_registered_for(world: World) -> None:
    app = await world.register_client(**OWN, token_endpoint_auth_method="client_secret_basic")
    mine, form = (app.id, str(app.secret)), {"grant_type": "client_credentials"}
    for scope in ("admin", "reports:read admin", "openid", "offline_access", "Reports:read"):
        answer = await call(world, "/oauth2/token", {**form, "scope": scope}, auth=mine)
        assert (400, "invalid_scope") == (answer.status_code, answer.json()["error"]), scope
    some = (await call(world, "/oauth2/token", {**form, "scope": "reports:read"}, auth=mine)).json()
    rest = (await call(world, "/oauth2/token", form, auth=mine)).json()
    assert ("reports:read", "reports:read reports:write") == (some["scope"], rest["scope"])
    assert {"access_token", "token_type", "expires_in", "scope"} == set(some)
    told = await introspected(await resource_server(world), some["access_token"])
    assert (True, app.id, app.id) == (told["active"], told["sub"], told["client_id"])
    assert {"auth_time", "sid", "grant_id"} & set(told) == set()
    user_only = await world.register_client(token_endpoint_auth_method="client_secret_basic")
    refused = await call(world, "/oauth2/token", form, auth=(user_only.id, str(user_only.secret)))
    assert (400, "unauthorized_client") == (refused.status_code, refused.json()["error"])


FAPI: dict[str, Any] = {"require_pushed_authorization_requests": True, "dpop_bound_access_tokens": True}
OTHER_NAMES = ["{issuer}/oauth2/token", ["{issuer}"], ["{issuer}", "{issuer}/oauth2/token"]]


@pytest.mark.parametrize(("profile", "status"), [({}, 200), (FAPI, 401), ({"dpop_bound_access_tokens": True}, 200)])
async def test_fapi2_who_is_held_to_fapi_names_the_issuer_alone(
    world: World, profile: dict[str, Any], status: int
) -> None:
    app = await signing_client(world, EC, **profile)
    url = f"{world.auth.url}/oauth2/token"
    for number, audience in enumerate([*OTHER_NAMES, "{issuer}"]):
        proof = Holder().proof("POST", url)
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
        form["client_assertion"] = assertion(app, EC, aud=_filled(audience, world.auth.url))
        answer = await call(world, "/oauth2/token", form, headers={"dpop": proof})
        assert (200 if number == 3 else status) == answer.status_code, (audience, answer.text)


async def test_fapi2_who_is_held_to_fapi_does_not_sign_with_RS256(world: World) -> None:
    app = await signing_client(world, RSA, **FAPI)
    url = f"{world.auth.url}/oauth2/token"
    for alg, status in (("RS256", 401), ("PS256", 200)):
        form = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
        form["client_assertion"] = assertion(app, RSA, alg)
        answer = await call(world, "/oauth2/token", form, headers={"dpop": Holder().proof("POST", url)})
        assert status == answer.status_code, answer.text


REGISTRATIONS: list[tuple[str, dict[str, Any]]] = [
    ("public with credentials", {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]}),
    ("public resource server", {"token_endpoint_auth_method": "none", "resource_server": True}),
    ("no keys", {"token_endpoint_auth_method": "private_key_jwt"}),
    ("a private key", {"jwks": {"keys": [EC.as_dict(private=True)]}}),
    ("a shared key", {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}),
    ("no key at all", {"jwks": {"keys": []}}),
    ("an unknown kind", {"jwks": {"keys": [{"kty": "quantum"}]}}),
    ("no kind", {"jwks": {"keys": [{"kid": "1"}]}}),
    ("D10 a short key", {"jwks": {"keys": [{"kty": "RSA", "n": "_" * 171, "e": "AQAB"}]}}),
    ("D10 not on the curve", {"jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}]}}),
    ("for encryption", {"jwks": public(EC, use="enc")}),
    ("which is which", {"jwks": public(EC, RSA)}),
    ("fapi2 RS256", {**FAPI, "jwks": public(RSA), "token_endpoint_auth_signing_alg": "RS256"}),
    ("fapi2 no PKCE", {**FAPI, "jwks": public(EC), "require_pkce": False}),
    ("like a user", {"client_id": "u_user0001", "token_endpoint_auth_method": "none"}),
]


@pytest.mark.parametrize(("case", "changed"), REGISTRATIONS, ids=[case for case, _ in REGISTRATIONS])
async def test_D10_E06_a_client_is_not_registered_so(world: World, case: str, changed: dict[str, Any]) -> None:
    right = {"client_id": f"bad-{secrets.token_hex(4)}", "client_name": "Bad", "redirect_uris": ["https://a.example/"]}
    body = {**right, "token_endpoint_auth_method": "private_key_jwt", **changed}
    answer = await world.admin("POST", "/api/v1/organizations/default/clients", json=body)
    assert (422, "urn:scopefold:problem:invalid-client-metadata") == (answer.status_code, answer.json()["type"]), case


async def test_H09_a_registered_key_is_shown_and_a_secret_is_not(world: World) -> None:
    app = await signing_client(world, EC)
    items = (await world.admin("GET", "/api/v1/organizations/default/clients")).json()["items"]
    (found,) = [one for one in items if one["client_id"] == app.id]
    assert (public(EC), False) == (found["jwks"], "client_secret" in found)
    assert app.secret is None


async def test_B10_the_endpoints_for_clients_take_small_forms_by_post_only(world: World) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        for path in ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"):
            assert 405 == (await http.get(path)).status_code
            for answer in (await http.post(path, json={"token": "x"}), await http.post(path)):
                assert (400, "invalid_request") == (answer.status_code, answer.json()["error"])
            large = await http.post(path, content=b"token=" + b"x" * 2**20, headers=form)
            assert (413, "no-store") == (large.status_code, large.headers["cache-control"])
            twice = await http.post(path, content=b"token=x&token=x", headers=form)
            assert (400, "invalid_request", "no-store") == (
                twice.status_code,
                twice.json()["error"],
                twice.headers["cache-control"],
            )
