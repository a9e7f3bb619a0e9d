"""Access tokens as JWTs (RFC 9068), each of which names the family that it belongs to."""

from typing import Any

from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import KeySet

from scopefold.auth.core.families import family_id
from scopefold.auth.oauth.access_claims import ALGORITHM
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.family import refresh_token_generator
from scopefold.auth.oauth.loaded import ACCESS_SECONDS, Exchange, GrantedUser, Loaded


class AccessToken(JWTBearerTokenGenerator):  # type: ignore[misc]
    """JWT access tokens (RFC 9068), and the refresh tokens beside them."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(
            issuer=loaded.issuer,
            alg=ALGORITHM,
            refresh_token_generator=refresh_token_generator(loaded),
            expires_generator=lambda client, grant_type: ACCESS_SECONDS,
        )
        self._loaded = loaded

    def get_jwks(self) -> KeySet:
        return KeySet([self._loaded.keys.es256])

    def get_audiences(self, client: RegisteredClient, user: Any, scope: str) -> str | list[str]:
        """What it was asked for (RFC 8707), else this server's own resources."""
        audience = self._loaded.audience or (self._loaded.issuer,)
        return audience[0] if len(audience) == 1 else list(audience)

    def get_extra_claims(
        self, client: RegisteredClient, grant_type: str, user: GrantedUser | None, scope: str
    ) -> dict[str, Any]:
        """Whose key the token needs (RFC 9449, section 6), what the family knows of the login, and the times, which
        here are the request's own.

        With `auth_time` and `acr` a resource server judges a step-up (RFC 9470, section 6); UserInfo must know the
        session, which must still live, whose identity it was, and what was asked.
        """
        loaded, family = self._loaded, self._loaded.kept
        now = int(loaded.now.timestamp())
        claims: dict[str, Any] = {"iat": now, "exp": now + ACCESS_SECONDS}
        if loaded.exchange is not None:
            claims |= exchanged(loaded.exchange, client.get_client_id(), now)
        if client.client.registration:
            claims["client_registration"] = client.client.registration
        if loaded.proof is not None:
            claims["cnf"] = {"jkt": loaded.proof.jkt}
        if family is None:
            return claims
        claims["grant_id"] = family_id(loaded.handle)
        claims["auth_time"] = int(family.authenticated_at.timestamp())
        told = {
            "acr": family.acr,
            "sid": family.sid,
            "idp": family.idp,
            "requested_claims": list(user.claims) or None if user is not None else None,
        }
        return {**claims, **{name: value for name, value in told.items() if value is not None}}


def exchanged(asked: Exchange, client_id: str, now: int) -> dict[str, Any]:
    """What a token tells that was exchanged for another: the same login and family, with which it ends, and who acts.

    It lives no longer than the one before it.
    """
    subject = asked.subject
    told = {
        "exp": min(subject.exp, now + ACCESS_SECONDS),
        "grant_id": subject.grant_id,
        "auth_time": subject.auth_time,
        "acr": subject.acr,
        "sid": subject.sid,
        "idp": subject.idp,
        "act": {"sub": client_id, **({"act": subject.act} if subject.act is not None else {})},
    }
    return {name: value for name, value in told.items() if value is not None}
