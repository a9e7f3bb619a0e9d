"""What our access tokens say (RFC 9068), and how one is verified."""

from datetime import datetime
from typing import Any, Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

ALGORITHM: Final = "ES256"
TYPE: Final = "at+jwt"
MAX_CHARACTERS: Final = 16384
SKEW_SECONDS: Final = 60
"""By so much the clock of the replica that issued a token may be ahead of ours."""
_OURS: Final = frozenset({"idp", "requested_claims", "client_registration"})


class AccessClaims(Struct, frozen=True, omit_defaults=True, gc=False):
    """An access token's claims. Times are seconds since 1970."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    client_id: str
    exp: int
    iat: int
    jti: str
    scope: str = ""
    auth_time: int | None = None
    acr: str | None = None
    sid: str | None = None
    idp: str | None = None
    """Whose identity of the user UserInfo tells."""
    requested_claims: tuple[str, ...] = ()
    """What UserInfo was asked for by name."""
    grant_id: str | None = None
    """The family that it belongs to. A client's own token, without a user, has none."""
    act: dict[str, Any] | None = None
    """Who acts for the user, and who acted before (RFC 8693, section 4.1)."""
    cnf: dict[str, str] | None = None
    """The key that it is bound to (RFC 7800)."""
    client_registration: str = ""
    """Which registration of the client it was issued to; empty: it was not noted then."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom it is for."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud

    @property
    def scopes(self) -> tuple[str, ...]:
        """What it allows."""
        return tuple(self.scope.split())

    @property
    def key(self) -> str | None:
        """The thumbprint of the key that it is bound to (RFC 9449, section 6.1)."""
        return (self.cnf or {}).get("jkt")


def read_access_token(text: str, *, keys: KeySet, issuer: str, now: datetime) -> AccessClaims | None:
    """The claims of an access token of ours that has not expired; None for every other text (RFC 9068, section 4).

    The one reader of them. Whom it is for is for the caller to look at, whether it was revoked for the store to say.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        token = jwt.decode(text, keys, algorithms=[ALGORITHM])
        if str(token.header.get("typ", "")).lower() not in (TYPE, f"application/{TYPE}"):
            return None
        seconds = int(now.timestamp())
        rules = jwt.JWTClaimsRegistry(now=seconds, leeway=SKEW_SECONDS, iss={"essential": True, "value": issuer})
        rules.validate(token.claims)
        claims = msgspec.convert(token.claims, AccessClaims, strict=True)
        return claims if seconds < claims.exp else None  # its end has no leeway
    except (JoseError, msgspec.ValidationError, ValueError, TypeError, KeyError, RecursionError):
        return None


def as_claims(claims: AccessClaims) -> dict[str, Any]:
    """The claims as introspection tells them: without those that it does not have, or has for this server alone."""
    told = msgspec.to_builtins(claims)
    return {name: value for name, value in told.items() if value is not None and name not in _OURS}
