"""ID tokens of ours that come back as hints, and the token that tells clients of a logout."""

from datetime import datetime
from typing import Final

from joserfc import jwt
from joserfc.errors import JoseError
from msgspec import Struct

from scopefold.auth.core.keys import ALGORITHMS
from scopefold.auth.core.logout_token import EVENT
from scopefold.auth.oauth.keys import Keys

LOGOUT_TOKEN_SECONDS: Final = 120
MAX_TOKEN_LENGTH: Final = 16 * 1024


class Hint(Struct, frozen=True):
    """What an ID token of ours says, however old it is: a hint is no credential."""

    subject: str
    audience: tuple[str, ...]
    sid: str | None


def read_hint(keys: Keys, issuer: str, id_token: str) -> Hint | None:
    """An `id_token_hint`; None where it is no ID token that we signed."""
    if len(id_token) > MAX_TOKEN_LENGTH:
        return None
    try:
        token = jwt.decode(id_token, keys.verifying, algorithms=list(ALGORITHMS))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError):
        return None
    said = token.claims
    # Logout and access tokens are signed by keys of the same ring, and say so in their header.
    if token.header.get("typ") not in (None, "JWT") or said.get("iss") != issuer:
        return None
    subject, audience, sid = said.get("sub"), said.get("aud"), said.get("sid")
    clients = [audience] if isinstance(audience, str) else audience
    if not isinstance(subject, str) or not isinstance(clients, list):
        return None
    return Hint(subject, tuple(map(str, clients)), sid if isinstance(sid, str) else None)


def logout_token(keys: Keys, issuer: str, *, client_id: str, user: str, sid: str, token_id: str, now: datetime) -> str:
    """Tells one client that a session has ended (OpenID Connect Back-Channel Logout 1.0, section 2.4)."""
    issued_at = int(now.timestamp())
    claims = {
        "iss": issuer,
        "sub": user,
        "aud": client_id,
        "iat": issued_at,
        "exp": issued_at + LOGOUT_TOKEN_SECONDS,
        "jti": token_id,
        "sid": sid,
        "events": {EVENT: {}},
    }
    header = {"alg": "RS256", "typ": "logout+jwt", "kid": str(keys.rs256.kid)}
    return jwt.encode(header, claims, keys.rs256, algorithms=["RS256"])
