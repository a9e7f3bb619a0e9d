"""Keys that are none, and documents that must hold public keys alone."""

import base64
import secrets
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from joserfc.jwk import OKPKey

from scopefold.auth.core.low_order import is_low_order
from scopefold.auth.oauth.client_keys import is_strong_ed25519
from scopefold.auth.oauth.dpop_proof import BadProof, read_proof
from scopefold.auth.settings import Settings, check
from scopefold.auth.web.service import now
from scopefold.runtime.secret import Secret
from scopefold.runtime.settings import BadSettings
from tests.attacks.routes import PUBLIC_DOCUMENTS, addresses
from tests.auth.test_registration import initial_token, register
from tests.auth.world import APP_REDIRECT, KEK, World

PRIME = 2**255 - 19
LOW_ORDER = [
    (0).to_bytes(32, "little"),
    (1).to_bytes(32, "little"),
    (PRIME - 1).to_bytes(32, "little"),
    PRIME.to_bytes(32, "little"),
    (PRIME + 1).to_bytes(32, "little"),
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
]


def text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("y", LOW_ORDER, ids=[f"D10-{one.hex()[:6]}" for one in LOW_ORDER])
def test_D10_a_point_of_low_order_is_known_with_either_sign(y: bytes) -> None:
    assert is_low_order(y)
    assert is_low_order(y[:31] + bytes([y[31] | 0x80]))


def test_D10_other_keys_are_not_taken_for_one() -> None:
    for _ in range(50):
        assert is_strong_ed25519(OKPKey.generate_key("Ed25519"))


def signed_by_nobody(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """With the neutral point for a key, this signature verifies for every text."""
    parts = [text(msgspec.json.encode(part)) for part in (header, claims)]
    return ".".join([*parts, text(LOW_ORDER[1] + bytes(32))])


def test_D10_B29_a_proof_by_a_key_that_everybody_has_proves_nothing() -> None:
    key = {"kty": "OKP", "crv": "Ed25519", "x": text(LOW_ORDER[1])}
    header = {"typ": "dpop+jwt", "alg": "Ed25519", "jwk": key}
    url = "https://login.example/oauth2/token"
    proof = signed_by_nobody(header, {"jti": "x", "htm": "POST", "htu": url, "iat": int(now().timestamp())})
    with pytest.raises(BadProof, match="low order"):
        read_proof(proof, method="POST", url=url, now=now())


CURVES: list[dict[str, str]] = [
    *({"kty": "OKP", "crv": "Ed25519", "x": text(one)} for one in LOW_ORDER),
    {"kty": "OKP", "crv": "X25519", "x": text(b"\x09" + bytes(31))},
    {"kty": "OKP", "crv": "Ed25519", "x": text(b"\x02" * 31)},
    {"kty": "EC", "crv": "P-256", "x": text(b"\x01" * 32), "y": text(b"\x01" * 32)},
    {"kty": "EC", "crv": "P-256", "x": text(bytes(32)), "y": text(bytes(32))},
    {"kty": "RSA", "n": text(b"\xff" * 128), "e": "AQAB"},
    {"kty": "RSA", "n": text(b"\xff" * 256), "e": "AQ"},
]


@pytest.mark.parametrize("key", CURVES, ids=[f"D10-{n}-{one['kty']}" for n, one in enumerate(CURVES)])
async def test_D10_no_client_registers_a_key_that_proves_nothing(guarded: World, key: dict[str, str]) -> None:
    keys = {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [key]}}
    answer = await register(guarded, await initial_token(guarded), **keys)
    assert (400, "invalid_client_metadata") == (answer.status_code, answer.json()["error"]), answer.text
    body = {"client_id": f"bad-{secrets.token_hex(4)}", "client_name": "Bad", "redirect_uris": [APP_REDIRECT]}
    operators = await guarded.admin("POST", "/api/v1/organizations/default/clients", json={**body, **keys})
    assert 422 == operators.status_code, operators.text


def members(value: Any) -> set[str]:
    """All names at any depth."""
    if isinstance(value, dict):
        return set(value) | {name for one in value.values() for name in members(one)}
    return {name for one in value for name in members(one)} if isinstance(value, list) else set()


async def test_D13_no_document_of_ours_has_a_private_member(welcoming: World) -> None:
    """Every address that gives JSON to everybody, of both issuers, before and after keys have turned."""
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
    documents = [one for document in PUBLIC_DOCUMENTS for one in addresses(document)]
    async with httpx.AsyncClient(base_url=welcoming.auth.url) as http:
        before = [await http.get(path) for path in documents]
        rotation = await welcoming.admin("POST", "/v1/keys/rotate")
        after = [await http.get(path) for path in documents]
    for answer in (*before, rotation, *after, await welcoming.admin("GET", "/v1/keys")):
        assert (200, True) == (answer.status_code, "json" in answer.headers["content-type"]), answer.url
        assert set() == private & members(answer.json()), answer.url


ISSUERS = [
    ("https://login.example", True),
    ("https://login.example/path", True),
    ("http://127.0.0.1:8080", True),
    ("http://login.example", False),
    ("http://127.0.0.1.evil.example", False),
    ("https://login.example/", False),
    ("https://login.example?x=1", False),
    ("https://login.example#x", False),
    ("login.example", False),
    ("https://", False),
]


@pytest.mark.parametrize(("issuer", "may"), ISSUERS)
def test_D14_an_issuer_is_https_or_on_this_machine(tmp_path: Path, issuer: str, may: bool) -> None:
    settings = Settings(admin_token=Secret("t" * 24), kek=Secret(KEK), data_dir=tmp_path, issuer=issuer)
    if may:
        check(settings)
        return
    with pytest.raises(BadSettings, match="SCOPEFOLD_ISSUER"):
        check(settings)
