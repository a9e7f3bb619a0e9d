"""Tokens of ours that come back to us, and the one that tells clients of a logout."""

from datetime import datetime
from typing import Any, Final

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ResourceProtector
from authlib.oauth2.rfc6750 import InsufficientScopeError, InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct

from scopefold.auth.oauth.loaded import Keys
from scopefold.auth.oauth.request import GrammarRequest

BACKCHANNEL_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
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
        token = jwt.decode(id_token, KeySet([keys.rs256]), algorithms=["RS256"])
    except (JoseError, ValueError):
        return None
    said = token.claims
    # Logout tokens are signed by the same key, and say so in their header.
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
        "events": {BACKCHANNEL_EVENT: {}},
    }
    header = {"alg": "RS256", "typ": "logout+jwt", "kid": keys.rs256.thumbprint()}
    return jwt.encode(header, claims, keys.rs256, algorithms=["RS256"])


class Bearer(Struct, frozen=True):
    """What an access token of ours says of its user."""

    user: str
    client_id: str
    sid: str
    idp: str
    scopes: tuple[str, ...]
    claims: tuple[str, ...]


class NotAllowed(Exception):
    """The access token does not open this (RFC 6750, section 3.1). `error` is empty where none was sent."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description


def read_access_token(keys: Keys, issuer: str, authorization: str | None, scope: str) -> Bearer:
    """The access token in an Authorization header, if it is for this server and has this scope. Raises `NotAllowed`."""
    if authorization is None:
        raise NotAllowed(401, "", "Send an access token as: Authorization: Bearer <token>.")
    protector = ResourceProtector()
    protector.register_token_validator(_Validator(keys, issuer))
    try:
        token = protector.validate_request([scope], GrammarRequest("GET", {}, {"Authorization": authorization}))
    except InvalidTokenError:
        raise NotAllowed(401, "invalid_token", "The access token is expired, or is none for this server.") from None
    except InsufficientScopeError:
        raise NotAllowed(403, "insufficient_scope", f"The access token lacks the scope {scope}.") from None
    except OAuth2Error:
        raise NotAllowed(401, "", "Send an access token as: Authorization: Bearer <token>.") from None
    said: dict[str, Any] = dict(token)
    return Bearer(
        user=str(said["sub"]),
        client_id=str(said["client_id"]),
        sid=str(said.get("sid", "")),
        idp=str(said.get("idp", "")),
        scopes=tuple(str(said.get("scope", "")).split()),
        claims=tuple(map(str, said.get("requested_claims", ()))),
    )


class _Validator(JWTBearerTokenValidator):  # type: ignore[misc]  # Authlib has no types
    """Authlib would take a token without a type, and any algorithm that the key may be used with."""

    def __init__(self, keys: Keys, issuer: str) -> None:
        super().__init__(issuer, issuer)
        self._keys = keys

    def get_jwks(self) -> KeySet:
        return KeySet([self._keys.es256])

    def authenticate_token(self, token_string: str) -> Any:
        if len(token_string) > MAX_TOKEN_LENGTH:
            raise InvalidTokenError
        try:
            token = super().authenticate_token(token_string)
        except ValueError:
            raise InvalidTokenError from None
        if (token.header.get("typ"), token.header.get("alg")) != ("at+jwt", "ES256"):
            raise InvalidTokenError
        return token
