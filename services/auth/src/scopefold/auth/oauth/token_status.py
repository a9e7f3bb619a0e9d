"""Introspection (RFC 7662) and revocation (RFC 7009), over the token that was looked up before."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidRequestError
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint

from scopefold.auth.oauth.access_claims import as_claims
from scopefold.auth.oauth.client import AUTH_METHODS, CONFIDENTIAL_METHODS, RegisteredClient
from scopefold.auth.oauth.loaded import Told


class _ToldToken:
    """A token of ours, as Authlib asks about it."""

    def __init__(self, told: Told) -> None:
        self.told = told

    def check_client(self, client: RegisteredClient) -> bool:
        return self.told.client_id == client.get_client_id()

    def is_expired(self) -> bool:
        return not self.told.live

    def is_revoked(self) -> bool:
        return not self.told.live


class Introspection(IntrospectionEndpoint):  # type: ignore[misc]  # Authlib has no types
    """For the client that holds the token, and for resource servers that it is meant for."""

    CLIENT_AUTH_METHODS = list(CONFIDENTIAL_METHODS)

    def check_params(self, request: Any, client: RegisteredClient) -> None:
        """The hint may be anything: all kinds are looked for (RFC 7662, section 2.1)."""
        if not request.form.get("token"):
            raise InvalidRequestError("Missing 'token' in request.")

    def query_token(self, token_string: str, token_type_hint: str | None) -> _ToldToken | None:
        told: Told | None = self.server.loaded.told
        return _ToldToken(told) if told else None

    def check_permission(self, token: _ToldToken, client: RegisteredClient, request: Any) -> bool:
        """A refresh token is its client's alone. A token for this server's own resources is any resource server's."""
        if token.check_client(client):
            return True
        asking, claims = client.client, token.told.claims
        if not asking.resource_server or claims is None:
            return False
        return bool({self.server.loaded.issuer, asking.client_id, *asking.resources} & set(claims.audiences))

    def introspect_token(self, token: _ToldToken) -> dict[str, Any]:
        claims, family = token.told.claims, token.told.family
        if claims is not None:
            kind = "DPoP" if claims.cnf else "Bearer"
            return {"active": True, "token_type": kind, **as_claims(claims)}
        assert family is not None
        assert family.expires_at is not None
        return {
            "active": True,
            "client_id": family.client_id,
            "scope": family.scope,
            "sub": family.user,
            "iss": self.server.loaded.issuer,
            "iat": int(family.used_at.timestamp()),
            "exp": int(family.expires_at.timestamp()),
            "auth_time": int(family.authenticated_at.timestamp()),
        }


class Revocation(RevocationEndpoint):  # type: ignore[misc]  # Authlib has no types
    """For the client that the token was issued to."""

    CLIENT_AUTH_METHODS = list(AUTH_METHODS)

    def check_params(self, request: Any, client: RegisteredClient) -> None:
        """The hint may be anything: all kinds are looked for (RFC 7009, section 2.1)."""
        if not request.form.get("token"):
            raise InvalidRequestError("Missing 'token' in request.")

    def query_token(self, token_string: str, token_type_hint: str | None) -> _ToldToken | None:
        told: Told | None = self.server.loaded.told
        return _ToldToken(told) if told else None

    def revoke_token(self, token: _ToldToken, request: Any) -> None:
        self.server.loaded.revoke = token.told
