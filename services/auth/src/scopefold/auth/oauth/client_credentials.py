"""The client credentials grant (RFC 6749, section 4.4): for confidential clients, for what they are registered for."""

from authlib.oauth2.rfc6749 import InvalidScopeError, scope_to_list
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.hooks import hooked

from scopefold.auth.oauth.client import CONFIDENTIAL_METHODS

OF_USERS = frozenset({"openid", "profile", "email", "address", "phone", "groups", "offline_access"})
"""Scopes that speak of a user, whom this grant does not have."""


class OwnGrant(ClientCredentialsGrant):  # type: ignore[misc]  # Authlib has no types
    """A client on its own behalf. It gets no refresh token: it has its credentials."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(CONFIDENTIAL_METHODS)

    @hooked  # type: ignore[untyped-decorator]
    def validate_token_request(self) -> None:
        """Authlib calls extensions here for codes alone."""
        super().validate_token_request()

    def validate_requested_scope(self) -> None:
        """What is asked for must be registered; who asks for nothing gets all of that."""
        registered = [scope for scope in self.request.client.client.scopes if scope not in OF_USERS]
        asked = scope_to_list(self.request.payload.scope) or []
        if not set(asked) <= set(registered):
            raise InvalidScopeError("This client is not registered for this scope, or the scope is a user's.")
        self.request.payload.data["scope"] = " ".join(asked or registered)
