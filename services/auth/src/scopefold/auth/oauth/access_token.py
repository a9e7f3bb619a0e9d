"""Access tokens as JWTs (RFC 9068)."""

from typing import Any

from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import KeySet

from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.loaded import ACCESS_SECONDS, GrantedUser, Loaded


class AccessToken(JWTBearerTokenGenerator):  # type: ignore[misc]
    """JWT access tokens (RFC 9068)."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(issuer=loaded.issuer, alg="ES256", expires_generator=lambda client, grant_type: ACCESS_SECONDS)
        self._loaded = loaded
        self._keys = loaded.keys

    def get_jwks(self) -> KeySet:
        return KeySet([self._keys.es256])

    def get_auth_time(self, user: GrantedUser | None) -> int | None:
        """When the user logged in, for resources that ask how long ago (RFC 9470)."""
        return int(user.authenticated_at.timestamp()) if user is not None else None

    def get_extra_claims(self, client: RegisteredClient, grant_type: str, user: Any, scope: str) -> dict[str, Any]:
        """Whose key the token needs (RFC 9449, section 6)."""
        proof = self._loaded.proof
        return {} if proof is None else {"cnf": {"jkt": proof.jkt}}

    def get_audiences(self, client: RegisteredClient, user: Any, scope: str) -> str | list[str]:
        audience = self._loaded.audience or (self._loaded.issuer,)
        return audience[0] if len(audience) == 1 else list(audience)
