"""ID tokens (OpenID Connect Core 1.0, section 2)."""

from typing import Any

from authlib.oidc.core import OpenIDCode, UserInfo
from joserfc.jwk import Key

from scopefold.auth.oauth.claims import user_claims
from scopefold.auth.oauth.client import RegisteredClient
from scopefold.auth.oauth.loaded import ID_TOKEN_SECONDS, GrantedUser, Loaded


class IdToken(OpenIDCode):  # type: ignore[misc]
    """OpenID Connect on top of the code grant."""

    def __init__(self, loaded: Loaded) -> None:
        super().__init__(require_nonce=False)
        self._loaded = loaded

    def exists_nonce(self, nonce: str, request: Any) -> bool:
        """Nonces are for the client to check; a code, which carries one, is redeemed once."""
        return False

    def get_client_algorithm(self, client: RegisteredClient) -> str:
        return str(client.client.id_token_signed_response_alg)

    def get_encode_header(self, client: RegisteredClient) -> dict[str, str]:
        key = self.resolve_client_private_key(client)
        return {"alg": self.get_client_algorithm(client), "kid": str(key.kid)}

    def resolve_client_private_key(self, client: RegisteredClient) -> Key:
        return self._loaded.keys.signing[self.get_client_algorithm(client)]

    def get_client_claims(self, client: RegisteredClient) -> dict[str, Any]:
        now = int(self._loaded.now.timestamp())
        issuer, audience = self._loaded.issuer, client.get_client_id()  # a list of one is more than many clients read
        return {"iss": issuer, "aud": audience, "iat": now, "exp": now + ID_TOKEN_SECONDS}

    def get_compatible_claims(self, request: Any) -> dict[str, Any]:
        return self.get_client_claims(request.client)

    def get_authorization_code_claims(self, authorization_code: Any) -> dict[str, Any]:
        """With the session's public id, by which the client is told of a logout."""
        claims: dict[str, Any] = super().get_authorization_code_claims(authorization_code)
        family = self._loaded.kept
        return {**claims, "sid": family.sid} if family is not None and family.sid is not None else claims

    def generate_user_info(self, user: GrantedUser, scope: str) -> UserInfo:
        loaded = self._loaded
        return UserInfo(user_claims(user.user, loaded.identity, loaded.groups, scope.split(), user.claims))
