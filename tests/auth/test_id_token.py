"""Who an IdP says a user is: every way in which an ID token can lie, by itself and over HTTP."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from scopefold.auth.core.id_token import LEEWAY_SECONDS, BadIdToken, Expected, UnknownKey, verified
from scopefold.contracts.events import AuthorizationFailed, TokenStored
from tests.auth.providers import row_of
from tests.auth.world import App, World, query_of, told_by
from tests.sandbox import issuer as issuers
from tests.support.browsing import Window

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://id.example"
TENANT = "5a4db0c5-0000-4000-8000-000000000365"
RSA = RSAKey.generate_key(2048, {"use": "sig"}, auto_kid=True)
EC = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
OTHER_RSA = RSAKey.generate_key(2048, auto_kid=True)
PUBLIC = KeySet([RSA, EC]).as_dict(private=False)
EXPECTED = Expected(ISSUER, "us", "the-nonce")
RIGHT: dict[str, Any] = {
    "iss": ISSUER,
    "aud": "us",
    "sub": "alice",
    "iat": SECONDS,
    "exp": SECONDS + 300,
    "nonce": "the-nonce",
}


def signed(claims: Any, key: RSAKey | ECKey = RSA, **header: Any) -> str:
    """A token of these claims; a header of None is left out."""
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
    told = {"alg": algorithm, "kid": key.kid, **header}
    told = {name: value for name, value in told.items() if value is not None}
    return jws.serialize_compact(told, json.dumps(claims).encode(), key, algorithms=[told["alg"]])


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """A token as an attacker writes it."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def by_public_key(secret: bytes) -> str:
    """A token that is signed with a public key, taken for a shared secret."""
    unsigned = by_hand({"alg": "HS256", "kid": RSA.kid}, RIGHT).rpartition(".")[0]
    signature = hmac.new(secret, unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def with_critical_header() -> str:
    """A token that is rightly signed, but asks for what nobody here understands (RFC 7515, section 4.1.11)."""
    unsigned = by_hand({"alg": "RS256", "kid": RSA.kid, "crit": ["x"], "x": 1}, RIGHT).rpartition(".")[0]
    signature = RSA.private_key.sign(unsigned.encode(), PKCS1v15(), SHA256()) if RSA.private_key else b""
    return f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_a_right_token_says_who_the_user_is() -> None:
    for key in (RSA, EC):
        assert RIGHT == verified(signed(RIGHT, key), PUBLIC, EXPECTED, NOW)


def without(*names: str) -> dict[str, Any]:
    """The right claims but these."""
    return {name: value for name, value in RIGHT.items() if name not in names}


LATE = SECONDS - LEEWAY_SECONDS
CLAIMS: list[tuple[str, Any, str | None]] = [
    ("iss of another", {**RIGHT, "iss": "https://evil.example"}, "id_token_issuer"),
    ("iss with a slash more", {**RIGHT, "iss": f"{ISSUER}/"}, "id_token_issuer"),
    ("no iss", without("iss"), "id_token_issuer"),
    ("aud of another client of the same IdP", {**RIGHT, "aud": "them"}, "id_token_audience"),
    ("aud that begins as ours", {**RIGHT, "aud": "us2"}, "id_token_audience"),
    ("no aud", without("aud"), "id_token_audience"),
    ("aud that is no text", {**RIGHT, "aud": {"us": True}}, "id_token_audience"),
    ("a list of us", {**RIGHT, "aud": ["us"]}, None),
    ("several, and azp is us", {**RIGHT, "aud": ["them", "us"], "azp": "us"}, None),
    ("several, and no azp", {**RIGHT, "aud": ["them", "us"]}, "id_token_azp"),
    ("several, and azp is another", {**RIGHT, "aud": ["them", "us"], "azp": "them"}, "id_token_azp"),
    ("one, and azp is another", {**RIGHT, "azp": "them"}, "id_token_azp"),
    ("just expired, within the leeway", {**RIGHT, "exp": LATE + 1}, None),
    ("expired", {**RIGHT, "exp": LATE}, "id_token_expired"),
    ("no exp", without("exp"), "id_token_expired"),
    ("exp as text", {**RIGHT, "exp": str(SECONDS + 300)}, "id_token_expired"),
    ("exp as truth", {**RIGHT, "exp": True}, "id_token_expired"),
    ("exp beyond numbers", {**RIGHT, "exp": float("inf")}, "id_token_malformed"),
    ("issued within the leeway", {**RIGHT, "iat": SECONDS + LEEWAY_SECONDS}, None),
    ("issued in the future", {**RIGHT, "iat": SECONDS + LEEWAY_SECONDS + 1}, "id_token_not_yet"),
    ("no iat", without("iat"), "id_token_not_yet"),
    ("not before two hours from now", {**RIGHT, "nbf": SECONDS + 7200}, "id_token_not_yet"),
    ("nbf that is no time", {**RIGHT, "nbf": "soon"}, "id_token_not_yet"),
    ("another nonce", {**RIGHT, "nonce": "another"}, "id_token_nonce"),
    ("no nonce", without("nonce"), "id_token_nonce"),
    ("a nonce beyond ASCII", {**RIGHT, "nonce": "the-nonc\u00e9"}, "id_token_nonce"),
    ("no sub", without("sub"), "id_token_sub"),
    ("an empty sub", {**RIGHT, "sub": ""}, "id_token_sub"),
    ("a sub that is a number", {**RIGHT, "sub": 7}, "id_token_sub"),
    ("a sub too long", {**RIGHT, "sub": "x" * 256}, "id_token_sub"),
    ("claims that are a list", [RIGHT], "id_token_malformed"),
]


@pytest.mark.parametrize(("case", "claims", "code"), CLAIMS)
def test_F07_D07_what_an_id_token_claims(case: str, claims: Any, code: str | None) -> None:
    token = signed(claims)
    if code is None:
        assert claims == verified(token, PUBLIC, EXPECTED, NOW)
        return
    with pytest.raises(BadIdToken) as refused:
        verified(token, PUBLIC, EXPECTED, NOW)
    assert code == refused.value.code, case


NONE = {"alg": "none", "kid": RSA.kid}
SIGNATURES: list[tuple[str, str, str]] = [
    ("D01 alg none", by_hand(NONE, RIGHT), "id_token_algorithm"),
    ("D01 alg None", by_hand({**NONE, "alg": "None"}, RIGHT), "id_token_algorithm"),
    ("D01 alg a list", by_hand({**NONE, "alg": ["RS256"]}, RIGHT), "id_token_algorithm"),
    ("D01 no alg", by_hand({"kid": RSA.kid}, RIGHT), "id_token_malformed"),
    ("D01 an empty signature", signed(RIGHT).rpartition(".")[0] + ".", "id_token_signature"),
    ("D02 HS256 by the PEM", by_public_key(RSA.as_pem(private=False)), "id_token_algorithm"),
    ("D02 HS256 by the JWK", by_public_key(json.dumps(PUBLIC["keys"][0]).encode()), "id_token_algorithm"),
    ("D02 RS256 by an EC key", by_hand({"alg": "RS256", "kid": EC.kid}, RIGHT, b"x" * 64), "id_token_unknown_key"),
    ("F07 a foreign key of our kid", signed(RIGHT, OTHER_RSA, kid=RSA.kid), "id_token_signature"),
    ("F07 a kid that nobody has", signed(RIGHT, OTHER_RSA), "id_token_unknown_key"),
    ("F07 other claims below the signature", by_hand({"alg": "RS256", "kid": RSA.kid}, RIGHT), "id_token_signature"),
    ("a key in the header", by_hand({**NONE, "alg": "RS256", "jwk": {}}, RIGHT, b"x"), "id_token_signature"),
    ("a critical header", with_critical_header(), "id_token_signature"),
    ("no token", "x.y", "id_token_malformed"),
    ("five parts", "a.b.c.d.e", "id_token_malformed"),
    ("nothing but dots", "..", "id_token_malformed"),
    ("a header that is no object", "W10.e30.", "id_token_malformed"),
    ("not ASCII", "\u00e9.e30.e30", "id_token_malformed"),
    ("too long", signed({**RIGHT, "x": "x" * 64 * 1024}), "id_token_too_long"),
]


@pytest.mark.parametrize(("case", "token", "code"), SIGNATURES)
def test_F07_D01_D02_who_signed_an_id_token(case: str, token: str, code: str) -> None:
    with pytest.raises(BadIdToken) as refused:
        verified(token, PUBLIC, EXPECTED, NOW)
    assert (code, code == "id_token_unknown_key") == (refused.value.code, isinstance(refused.value, UnknownKey)), case


def listed(*keys: RSAKey | ECKey, **changed: Any) -> dict[str, Any]:
    """A set of these public keys, each changed."""
    return {"keys": [{**key.as_dict(private=False), **changed} for key in keys]}


SHORT = base64.urlsafe_b64encode((1 << 1023 | 1).to_bytes(128, "big")).rstrip(b"=").decode()
WEAK = {"keys": [{"kty": "RSA", "e": "AQAB", "kid": "weak", "n": SHORT}]}
KEYS: list[tuple[str, Any, str, str | None]] = [
    ("one key, and none is named", listed(RSA), signed(RIGHT, kid=None), None),
    ("one of this kind, and none is named", listed(RSA, EC), signed(RIGHT, kid=None), None),
    ("two keys, and none is named", listed(RSA, OTHER_RSA), signed(RIGHT, kid=None), "id_token_no_key"),
    ("two keys of one name", listed(RSA, OTHER_RSA, kid="k"), signed(RIGHT, kid="k"), "id_token_no_key"),
    ("a key to encrypt with", listed(RSA, use="enc"), signed(RIGHT), "id_token_unknown_key"),
    ("a key of another algorithm", listed(RSA, alg="RS512"), signed(RIGHT), "id_token_unknown_key"),
    ("no keys", {}, signed(RIGHT), "id_token_unknown_key"),
    ("keys that are none", {"keys": [1, None, "x"]}, signed(RIGHT), "id_token_unknown_key"),
    ("a broken key", listed(RSA, n=7), signed(RIGHT), "id_token_bad_key"),
    ("a secret key", {"keys": [OctKey.import_key("s" * 32).as_dict()]}, signed(RIGHT), "id_token_unknown_key"),
    ("D10 a short key", WEAK, by_hand({"alg": "RS256", "kid": "weak"}, RIGHT, b"x"), "id_token_weak_key"),
    ("D10 no point of its curve", listed(EC, x="AAAA", y="AAAA"), signed(RIGHT, EC), "id_token_bad_key"),
]


@pytest.mark.filterwarnings("ignore:Key size should be:joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(("case", "keys", "token", "code"), KEYS)
def test_F07_D10_which_key_is_taken(case: str, keys: Any, token: str, code: str | None) -> None:
    if code is None:
        assert RIGHT == verified(token, keys, EXPECTED, NOW)
        return
    with pytest.raises(BadIdToken) as refused:
        verified(token, keys, EXPECTED, NOW)
    assert code == refused.value.code, case


TEMPLATE = "https://login.microsoftonline.com/{tenantid}/v2.0"
OF_TENANT = TEMPLATE.replace("{tenantid}", TENANT)
TENANTS: list[tuple[dict[str, Any], bool]] = [
    ({"iss": OF_TENANT, "tid": TENANT}, True),
    ({"iss": OF_TENANT}, False),
    ({"iss": OF_TENANT, "tid": TENANT.replace("365", "366")}, False),
    ({"iss": TEMPLATE, "tid": "{tenantid}"}, False),
    ({"iss": TEMPLATE.replace("{tenantid}", "evil/../x"), "tid": "evil/../x"}, False),
    ({"iss": "https://evil.example/" + TENANT, "tid": TENANT}, False),
]


@pytest.mark.parametrize(("claims", "believed"), TENANTS)
def test_F07_microsofts_issuer_is_the_tokens_own_tenant(claims: dict[str, Any], believed: bool) -> None:
    expected = Expected(TEMPLATE, "us", "the-nonce")
    token = signed({**RIGHT, **claims})
    if believed:
        assert "alice" == verified(token, PUBLIC, expected, NOW)["sub"]
        return
    with pytest.raises(BadIdToken) as refused:
        verified(token, PUBLIC, expected, NOW)
    assert "id_token_issuer" == refused.value.code


@pytest.fixture
def issuer() -> Iterator[issuers.Issuer]:
    """An IdP that tells any lie."""
    with issuers.running() as running:
        yield running


async def logged_in_at(world: World, issuer: issuers.Issuer, idp: str, app: App, **claims: Any) -> dict[str, str]:
    """A login whose ID token claims this; what the app is told."""
    browser = Window(world.auth.url)
    sent = query_of(await browser.get(app.address(idp_hint=idp)))
    issuer.challenge = sent["code_challenge"]
    issuer.claims = {**issuer.good_claims(sent["nonce"]), "aud": "us", **claims}
    back = httpx.QueryParams({"code": "c", "state": sent["state"]})
    answer = await browser.get(f"/oauth2/callback/{idp}?{back}")
    return query_of(answer) if answer.is_redirect else told_by(answer)


async def microsoft_at(world: World, issuer: issuers.Issuer, idp: str) -> None:
    """An IdP that is known by its ID tokens."""
    discovery = f"{issuer.address}/.well-known/openid-configuration"
    body = {"idp": idp, "profile": "microsoft", "client_id": "us", "client_secret": "s"}
    answer = await world.admin("POST", "/v1/idps", json={**body, "endpoints": {"discovery": discovery}})
    assert 201 == answer.status_code, answer.text


async def test_F07_a_login_whose_id_token_lies_leaves_nothing_but_its_failure(
    world: World, issuer: issuers.Issuer
) -> None:
    idp, app = "lying", await world.register_client()
    await microsoft_at(world, issuer, idp)
    lies: list[tuple[dict[str, Any], str]] = [
        ({"aud": "them"}, "id_token_audience"),
        ({"nonce": "of-another-login"}, "id_token_nonce"),
        ({"iss": "https://evil.example"}, "id_token_issuer"),
        ({"exp": 1}, "id_token_expired"),
    ]
    for claims, _ in lies:
        assert "server_error" == (await logged_in_at(world, issuer, idp, app, **claims))["error"]
    issuer.id_token = by_hand({"alg": "none"}, RIGHT)
    assert "server_error" == (await logged_in_at(world, issuer, idp, app))["error"]
    failed = await world.said(AuthorizationFailed, idp)
    codes = [*(code for _, code in lies), "id_token_algorithm"]
    assert [("identity", code) for code in codes] == [(one.stage, one.error) for one in failed]
    assert [] == await world.said(TokenStored, idp)


async def test_D11_new_keys_are_read_once_a_login(world: World, issuer: issuers.Issuer) -> None:
    idp, app = "rotating", await world.register_client()
    await microsoft_at(world, issuer, idp)
    assert "code" in await logged_in_at(world, issuer, idp, app)
    assert "code" in await logged_in_at(world, issuer, idp, app)
    assert 1 == issuer.keys_read
    issuer.key = ECKey.generate_key("P-256", auto_kid=True)
    assert "code" in await logged_in_at(world, issuer, idp, app)
    assert 2 == issuer.keys_read
    foreign = ECKey.generate_key("P-256", auto_kid=True)
    issuer.id_token = signed(RIGHT, foreign)
    assert "error" in await logged_in_at(world, issuer, idp, app)
    assert 3 == issuer.keys_read
    stored = await world.said(TokenStored, idp)
    assert ["u_12345678"] == [
        (await row_of(world, user, idp)).identity.subject for user in {one.user for one in stored}
    ]
