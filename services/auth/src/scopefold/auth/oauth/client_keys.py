"""The public keys of a client: which may be registered, and which signed an assertion."""

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, KeySetSerialization, OKPKey, RSAKey

from scopefold.auth.core.low_order import is_low_order

FAPI_ALGORITHMS: Final = ("PS256", "ES256", "EdDSA", "Ed25519")
"""What FAPI 2.0 allows (Security Profile, section 5.4.1)."""

ALGORITHMS: Final = ("RS256", *FAPI_ALGORITHMS)
MOST_KEYS: Final = 20
MIN_RSA_BITS: Final = 2048
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def why_unusable(jwks: Mapping[str, Any]) -> str | None:
    """Why a client may not register these keys, if so."""
    members = _members(jwks)
    if not 1 <= len(members) <= MOST_KEYS or members != jwks.get("keys"):
        return f"jwks must be a JSON Web Key Set of 1 to {MOST_KEYS} keys (RFC 7517, section 5)."
    for key in members:
        if _PRIVATE & key.keys():
            return (
                "A private or shared key is among them. Make new keys, for others know these now, and send public ones."
            )
    kids = [str(key["kid"]) if "kid" in key else None for key in members]
    if len(kids) > 1 and (None in kids or len(set(kids)) < len(kids)):
        return "Give each of several keys a kid of its own."
    if len(_usable(jwks)) < len(members):
        return f"Only signing keys can be used: RSA of at least {MIN_RSA_BITS} bits, EC on P-256, or Ed25519."
    return None


def key_set(jwks: Mapping[str, Any]) -> KeySet | None:
    """The keys that may sign, or None where there are none. Of a set that is too long, the first keys count."""
    keys = _usable(jwks)
    return KeySet(list(keys)) if keys else None


def is_strong_ed25519(key: OKPKey) -> bool:
    """Is this an Ed25519 key, and one that not everybody can sign with?"""
    public = key.public_key
    return isinstance(public, Ed25519PublicKey) and not is_low_order(public.public_bytes_raw())


def has_key(keys: KeySet | None, kid: str) -> bool:
    """Is a key of this name among them?"""
    return keys is not None and any(key.kid == kid for key in keys.keys)


def _usable(jwks: Mapping[str, Any]) -> list[RSAKey | ECKey | OKPKey]:
    return [key for key in map(_read, _members(jwks)[:MOST_KEYS]) if key is not None]


def _members(jwks: Mapping[str, Any]) -> list[dict[str, Any]]:
    given = jwks.get("keys")
    return [key for key in given if isinstance(key, dict)] if isinstance(given, list) else []


def _read(member: dict[str, Any]) -> RSAKey | ECKey | OKPKey | None:
    if member.get("use", "sig") != "sig" or _PRIVATE & member.keys():  # a private key that others know proves nothing
        return None
    document = cast("KeySetSerialization", {"keys": [msgspec.to_builtins(member)]})
    try:
        (key,) = KeySet.import_key_set(document).keys
        assert key.raw_value  # only now is its content read
        if isinstance(key, RSAKey):
            return key if key.raw_value.key_size >= MIN_RSA_BITS else None
        if isinstance(key, ECKey):
            return key if key.curve_name == "P-256" else None
        return key if isinstance(key, OKPKey) and is_strong_ed25519(key) else None
    except (JoseError, ValueError, TypeError, KeyError):  # a point that is not on its curve, say
        return None
