"""Which texts are access tokens of ours (RFC 9068, section 4), and what they say."""

import base64
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from scopefold.auth.oauth.access_claims import read_access_token

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY, OTHER = ECKey.generate_key("P-256", auto_kid=True), ECKey.generate_key("P-256", auto_kid=True)
RSA = RSAKey.generate_key(2048, auto_kid=True)
ISSUER = "https://login.example"
SECONDS = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": ISSUER, "sub": "u_user0001", "aud": ISSUER, "client_id": "app", "jti": "j", "iat": SECONDS,
    "exp": SECONDS + 600,
}  # fmt: skip


def signed(key: Any = KEY, alg: str = "ES256", typ: str | None = "at+jwt", **changed: Any) -> str:
    header = {"alg": alg, "kid": KEY.kid} | ({"typ": typ} if typ else {})
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    return jwt.encode(header, claims, key, algorithms=[alg], default_type=None)


def without(name: str) -> str:
    return jwt.encode({"alg": "ES256", "typ": "at+jwt"}, {key: CLAIMS[key] for key in CLAIMS if key != name}, KEY)


def of_public_key() -> str:
    """An HMAC over the public key's text: the confusion of algorithms. By hand, since no library makes one."""
    head, body = (_base64(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "at+jwt"}, CLAIMS))
    signature = hmac.digest(KEY.as_pem(private=False), f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{_base64(signature)}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


BAD_TOKENS: list[tuple[str, str]] = [
    ("D01-none", "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0." + signed().split(".")[1] + "."),
    ("D01-no-signature", signed().rpartition(".")[0] + "."),
    ("D02", of_public_key()),
    ("D02-rsa", signed(RSA, "RS256")),
    ("D07-other-key", signed(OTHER)),
    *[(f"D07-no-{name}", without(name)) for name in ("exp", "iat", "aud", "sub", "iss", "jti", "client_id")],
    ("D07-exp-text", signed(exp=str(SECONDS + 600))),
    ("D07-expired", signed(exp=SECONDS)),
    ("D07-nbf", signed(nbf=SECONDS + 7200)),
    ("D07-iat-ahead", signed(iat=SECONDS + 7200)),
    ("D07-other-issuer", signed(iss="https://evil.example")),
    ("D08-id-token", signed(typ="JWT")),
    ("D08-no-type", signed(typ=None)),
    ("D07-of-a-clock-that-is-wrong", signed(iat=SECONDS + 61, exp=SECONDS + 661)),
    ("D07-at-its-end", signed(exp=SECONDS)),
    ("C12-garbage", "x"),
    ("C12-empty", ""),
    ("C12-dots", "." * 5),
    ("C12-deep", "W1tb" * 1500 + ".W1tb.x"),
    ("C12-long", "x" * 200_000),
    ("C12-not-ascii", "é.é.é"),
]


@pytest.mark.parametrize(("case", "text"), BAD_TOKENS, ids=[case for case, _ in BAD_TOKENS])
def test_D01_D02_D07_D08_only_a_living_access_token_of_ours_is_read(case: str, text: str) -> None:
    assert read_access_token(text, keys=KeySet([KEY]), issuer=ISSUER, now=NOW) is None


def test_D07_a_token_of_a_replica_whose_clock_is_a_little_ahead_is_read() -> None:
    ahead = signed(iat=SECONDS + 60, exp=SECONDS + 660)
    assert read_access_token(ahead, keys=KeySet([KEY]), issuer=ISSUER, now=NOW) is not None


def test_D07_a_good_access_token_is_read() -> None:
    found = read_access_token(
        signed(aud=["https://a.example", "https://b.example"]), keys=KeySet([KEY]), issuer=ISSUER, now=NOW
    )
    assert found is not None
    assert ("u_user0001", ("https://a.example", "https://b.example")) == (found.sub, found.audiences)
