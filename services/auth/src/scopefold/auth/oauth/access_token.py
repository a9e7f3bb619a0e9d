"""Access tokens as JWTs (RFC 9068)."""

from typing import Any

from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import KeySet

from scopefold.auth.core.authentication import ACR
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.loaded import ACCESS_SECONDS, GrantedUser, Loaded


class AccessToken(JWTBearerTokenGenerator):  # type: ignore[misc]
    """JWT access tokens (RFC 9068)."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(issuer=loaded.issuer, alg="ES256", expires_generator=lambda client, grant_type: ACCESS_SECONDS)
        self._keys = loaded.keys

    def get_jwks(self) -> KeySet:
        return KeySet([self._keys.es256])

    def get_audiences(self, client: RegisteredClient, user: Any, scope: str) -> str:
        return str(self.issuer)

    def get_auth_time(self, user: GrantedUser | None) -> int | None:
        """With `acr`, what a resource server judges a step-up by (RFC 9470, section 6)."""
        return int(user.authenticated_at.timestamp()) if user is not None else None

    def get_acr(self, user: GrantedUser | None) -> str | None:
        return ACR if user is not None else None

    def get_extra_claims(
        self, client: RegisteredClient, grant_type: str, user: GrantedUser | None, scope: str
    ) -> dict[str, Any]:
        """What UserInfo must know: the session, which must still live, whose identity it was, and what was asked."""
        if user is None:
            return {}
        asked = {"requested_claims": list(user.claims)} if user.claims else {}
        return {"sid": user.sid, "idp": user.idp, **asked}
