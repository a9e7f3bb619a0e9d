"""Who holds keys: clients that prove theirs (RFC 9449), and servers that sign."""

import base64
import hashlib
import secrets
import time
from functools import cache
from typing import Any

import msgspec
from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from scopefold.auth.core.keys import Ring, begun
from scopefold.auth.oauth.keys import Keys, keys_of, new_key
from scopefold.auth.web.service import now


@cache
def some_ring() -> Ring:
    """Signing keys of the tests' own."""
    return begun(Ring(), new_key, now())


@cache
def some_keys() -> Keys:
    """The same, as the grammar works with them."""
    return keys_of(some_ring())


class Holder:
    """A client with a key of its own."""

    def __init__(self, alg: str = "ES256") -> None:
        self.alg = alg
        self.key: Key = new_holder_key(alg)

    @property
    def jkt(self) -> str:
        """The key's thumbprint (RFC 7638)."""
        return str(self.key.thumbprint())

    def proof(self, method: str, url: str, *, header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A proof that is right, but for what is changed; None leaves out a claim, or a member of the header."""
        right = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        claims = {name: value for name, value in {**right, **changed}.items() if value is not None}
        whole = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False), **(header or {})}
        head = {name: value for name, value in whole.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[head["alg"]], strict_check_header=False)
        return jws.serialize_compact(head, msgspec.json.encode(claims), self.key, registry=registry)


def new_holder_key(alg: str) -> Key:
    """A key for this algorithm."""
    if alg in ("RS256", "PS256"):
        return RSAKey.generate_key(2048)
    return ECKey.generate_key("P-256") if alg == "ES256" else OKPKey.generate_key("Ed25519")


def ath_of(access_token: str) -> str:
    """The hash of a token that a proof names (RFC 9449, section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).decode().rstrip("=")
