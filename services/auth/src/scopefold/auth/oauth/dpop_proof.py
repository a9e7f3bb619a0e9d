"""What a DPoP proof must be (RFC 9449, section 4.3): who sent this request holds this key, now."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from msgspec import Meta, Struct

from scopefold.auth.oauth.client_keys import is_strong_ed25519

ALGORITHMS: Final = ("ES256", "Ed25519", "EdDSA", "PS256")
"""RS256 is not among them: FAPI 2.0 (Security Profile, section 5.4.1) forbids it, and no client has no other."""

LEEWAY_SECONDS: Final = 60
"""How far a proof's time may lie from ours, before and after."""
MAX_PROOF: Final = 8192
RSA_BITS: Final = range(2048, 4097)
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
_PORTS: Final = {"https": 443, "http": 80}
_PLAIN: Final = re.compile(r"[^\x00-\x20\x7f\\]+")


class _Registry(jws.JWSRegistry):
    max_header_length = 4096  # joserfc's own bound is too narrow for a header with an RSA key in it


_REGISTRY: Final = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class BadProof(ValueError):
    """The proof proves nothing; the message says why, in words fit for an `error_description`."""


class Proof(Struct, frozen=True):
    """A proof that holds. `nonce` is still to be judged, and `jti` is to be seen only once."""

    jkt: str
    jti: str
    nonce: str | None


class _Claims(Struct, frozen=True):
    jti: Annotated[str, Meta(min_length=1, max_length=500)]
    htm: str
    htu: str
    iat: float
    exp: float | None = None
    nbf: float | None = None
    nonce: str | None = None
    ath: str | None = None


def read_proof(text: str, *, method: str, url: str, now: datetime, access_token: str | None = None) -> Proof:
    """The proof in a `DPoP` header, for a request to `url` with this access token. Raises `BadProof`."""
    if len(text) > MAX_PROOF:
        raise BadProof("The DPoP proof is too long.")
    try:
        found = jws.extract_compact(text.encode("ascii"), registry=_REGISTRY)
        header = found.headers()
        key = _key(header)
        signed = jws.validate_compact(found, key, registry=_REGISTRY)
        claims = msgspec.json.decode(found.payload, type=_Claims)
    except BadProof:
        raise
    except msgspec.MsgspecError:
        raise BadProof("The DPoP proof lacks one of jti, htm, htu and iat, or has it in a wrong form.") from None
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):  # whatever a stranger sends
        raise BadProof("The DPoP proof is no signed JWT with a public key in its header.") from None
    if not signed:
        raise BadProof("The DPoP proof is not signed by the key in its header.")
    if claims.htm != method or _address(claims.htu) != _address(url):
        raise BadProof("The DPoP proof was made for another request: see htm and htu.")
    _check_times(claims, now.timestamp())
    if access_token is not None and not hmac.compare_digest((claims.ath or "").encode(), _hash(access_token).encode()):
        raise BadProof("The DPoP proof was made for another access token: see ath.")
    return Proof(key.thumbprint(), claims.jti, claims.nonce)


def _key(header: Mapping[str, Any]) -> Key:
    """The public key in the header. Raises `BadProof`, and what parsing raises."""
    if header.get("typ") != "dpop+jwt":
        raise BadProof("The DPoP proof must have the type dpop+jwt.")
    if header.get("alg") not in ALGORITHMS:
        raise BadProof(f"The DPoP proof must be signed with one of {', '.join(ALGORITHMS)}.")
    jwk = header.get("jwk")
    if not isinstance(jwk, dict) or _PRIVATE & jwk.keys():
        raise BadProof("The DPoP proof must hold its public key, and no private one, as jwk.")
    match jwk.get("kty"):
        case "EC":
            return ECKey.import_key(jwk)
        case "OKP":
            pair = OKPKey.import_key(jwk)
            if not is_strong_ed25519(pair):
                raise BadProof("A key of the kind OKP must be of Ed25519, and none of low order.")
            return pair
        case "RSA":
            key = RSAKey.import_key(jwk)
            if key.raw_value.key_size not in RSA_BITS:
                raise BadProof("An RSA key of a DPoP proof must have 2048 to 4096 bits.")
            return key
    raise BadProof("The key of the DPoP proof must be of the kind EC, OKP or RSA.")


def _check_times(claims: _Claims, now: float) -> None:
    if abs(claims.iat - now) > LEEWAY_SECONDS:
        raise BadProof("The DPoP proof is too old, or the clock that made it is wrong: see iat.")
    if claims.exp is not None and claims.exp <= now:
        raise BadProof("The DPoP proof has expired: see exp.")
    if claims.nbf is not None and claims.nbf > now + LEEWAY_SECONDS:
        raise BadProof("The DPoP proof is not valid yet: see nbf.")


def _address(url: str) -> tuple[str, str, int | None, str]:
    """What of an address counts: no query, no fragment, and what RFC 3986, section 6.2, takes for the same."""
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower())
        if "@" in parts.netloc or not _PLAIN.fullmatch(url):  # what the parser would leave out
            raise ValueError
    except ValueError:
        raise BadProof("The DPoP proof's htu is no address.") from None
    return parts.scheme.lower(), (parts.hostname or "").lower(), port, parts.path or "/"


def _hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
