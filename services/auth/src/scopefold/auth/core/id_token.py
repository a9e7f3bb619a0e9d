"""Whether an ID token is what it says: OpenID Connect Core 1.0, section 3.1.3.7, and nothing taken on trust.

Section 3.1.3.7 lets a client that had the token straight from the token endpoint rely on TLS instead of the signature.
That is not done: the signature is always verified, so an IdP whose keys are not known cannot say who a user is.
"""

import hmac
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from msgspec import Struct

from scopefold.scopes.addresses import TENANT, TENANT_ID

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by a key pair only (RFC 8725, section 3.1): never `none`, and never a secret that the IdP shares."""

MAX_TOKEN_LENGTH: Final = 64 * 1024
MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
LEEWAY_SECONDS: Final = 60
MAX_SUBJECT_LENGTH: Final = 255
_KINDS: Final[Mapping[str, tuple[str, type[RSAKey] | type[ECKey] | type[OKPKey]]]] = {
    "RS": ("RSA", RSAKey),
    "PS": ("RSA", RSAKey),
    "ES": ("EC", ECKey),
}


class BadIdToken(Exception):
    """The ID token says nothing that can be believed. `code` is short and stable, and fit for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class UnknownKey(BadIdToken):
    """The token names a key that is not among the issuer's: it may be newer than what was read of them."""

    def __init__(self) -> None:
        super().__init__("id_token_unknown_key")


class Expected(Struct, frozen=True):
    """What an ID token must say. `issuer` may be Microsoft's template, filled from the token's `tid`."""

    issuer: str
    client_id: str
    nonce: str


def verified(token: str, keys: Mapping[str, object], expected: Expected, now: datetime) -> Mapping[str, object]:
    """The claims of a token that one of the keys of this JWK set (RFC 7517, section 5) signed, for us, now.

    Raises `BadIdToken`, and of that `UnknownKey` where reading the keys again may help.
    """
    claims = signed_claims(token, keys)
    check_issuer(claims, expected.issuer)
    _check_audience(claims, expected.client_id)
    _check_times(claims, now.timestamp())
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), expected.nonce.encode()):
        raise BadIdToken("id_token_nonce")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT_LENGTH:
        raise BadIdToken("id_token_sub")
    return claims


def signed_claims(token: str, keys: Mapping[str, object]) -> dict[str, Any]:
    """The claims of a token, once the signature is right: that of one of the keys of this JWK set.

    Raises `BadIdToken`, and of that `UnknownKey` where reading the keys again may help.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise BadIdToken("id_token_too_long")
    try:
        header = jws.extract_compact(token.encode()).headers()
    except (JoseError, ValueError, TypeError, RecursionError):
        raise BadIdToken("id_token_malformed") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise BadIdToken("id_token_algorithm")
    key = _key(keys, algorithm, kid)
    try:
        payload = jws.deserialize_compact(token, key, algorithms=[algorithm]).payload
    except (JoseError, ValueError, TypeError):
        raise BadIdToken("id_token_signature") from None
    try:
        return msgspec.json.decode(payload or b"", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise BadIdToken("id_token_malformed") from None


def _key(keys: Mapping[str, object], algorithm: str, kid: object) -> RSAKey | ECKey | OKPKey:
    """The one key that can have signed this. A token that names none is believed only where there is but one.

    Core, section 10.1: where there are several keys, the token must name one.
    """
    kind, load = _KINDS[algorithm[:2]]
    listed = keys.get("keys")
    found = listed[:MAX_KEYS] if isinstance(listed, list) else []
    fit = [
        key
        for key in found
        if isinstance(key, dict)
        and key.get("kty") == kind
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and (kid is None or key.get("kid") == kid)
    ]
    if not fit and kid is not None:
        raise UnknownKey
    if len(fit) != 1:
        raise BadIdToken("id_token_no_key")
    try:
        key = load.import_key(fit[0])
        if isinstance(key, RSAKey) and key.raw_value.key_size < MIN_RSA_BITS:
            raise BadIdToken("id_token_weak_key")
    except (JoseError, ValueError, TypeError, KeyError):
        raise BadIdToken("id_token_bad_key") from None
    return key


def check_issuer(claims: Mapping[str, object], issuer: str) -> None:
    """Raises `BadIdToken` where `iss` is another. Microsoft's template is filled from the token's own `tid`."""
    tenant = claims.get("tid")
    if TENANT in issuer:
        if not isinstance(tenant, str) or not TENANT_ID.fullmatch(tenant):
            raise BadIdToken("id_token_issuer")
        issuer = issuer.replace(TENANT, tenant)
    if claims.get("iss") != issuer:
        raise BadIdToken("id_token_issuer")


def _check_audience(claims: Mapping[str, object], client_id: str) -> None:
    told = claims.get("aud")
    audiences: Sequence[object] = told if isinstance(told, list) else [told]
    if client_id not in audiences:
        raise BadIdToken("id_token_audience")
    if claims.get("azp", client_id) != client_id or (len(audiences) > 1 and "azp" not in claims):
        raise BadIdToken("id_token_azp")


def _check_times(claims: Mapping[str, object], now: float) -> None:
    """`exp` and `iat` must be there (Core, section 2); `nbf` counts where it is (RFC 7519, section 4.1.5)."""
    expires, issued = time_in(claims, "exp"), time_in(claims, "iat")
    if expires is None or now >= expires + LEEWAY_SECONDS:
        raise BadIdToken("id_token_expired")
    begins = issued if "nbf" not in claims else time_in(claims, "nbf")
    if issued is None or begins is None or max(issued, begins) > now + LEEWAY_SECONDS:
        raise BadIdToken("id_token_not_yet")


def time_in(claims: Mapping[str, object], name: str) -> float | None:
    """Seconds since 1970; None where that is no number."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
