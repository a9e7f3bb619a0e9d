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
MAX_CHARACTERS: Final = 8192


class AccessClaims(Struct, frozen=True, omit_defaults=True):
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
    grant_id: str | None = None
    """The family that it belongs to. A client's own token, without a user, has none."""
    act: dict[str, Any] | None = None
    """Who acts for the user, and who acted before (RFC 8693, section 4.1)."""
    cnf: dict[str, str] | None = None
    """The key that it is bound to (RFC 7800)."""

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom it is for."""
        return (self.aud,) if isinstance(self.aud, str) else self.aud


def read_access_token(text: str, *, keys: KeySet, issuer: str, now: datetime) -> AccessClaims | None:
    """The claims of an access token of ours that has not expired; None for every other text (RFC 9068, section 4).

    Whether it was revoked is for the store to say.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        token = jwt.decode(text, keys, algorithms=[ALGORITHM])
        if str(token.header.get("typ", "")).lower() not in (TYPE, f"application/{TYPE}"):
            return None
        rules = jwt.JWTClaimsRegistry(now=int(now.timestamp()), iss={"essential": True, "value": issuer})
        rules.validate(token.claims)
        return msgspec.convert(token.claims, AccessClaims, strict=True)
    except (JoseError, msgspec.ValidationError, ValueError, TypeError, KeyError, RecursionError):
        return None


def as_claims(claims: AccessClaims) -> dict[str, Any]:
    """The claims as they stand in the token, without those that it does not have."""
    return {name: value for name, value in msgspec.to_builtins(claims).items() if value is not None}
