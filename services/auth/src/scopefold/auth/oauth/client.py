"""A registered client, as Authlib asks about it."""

import hmac
from typing import Final

from authlib.oauth2.rfc6749 import ClientMixin, scope_to_list

from scopefold.auth.core.redirects import is_registered
from scopefold.auth.core.seal import keyed_hash
from scopefold.auth.store.records import Client

CONFIDENTIAL_METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt")
AUTH_METHODS: Final = (*CONFIDENTIAL_METHODS, "none")
"""In the order in which the metadata lists them: some clients take the first that they know."""


class RegisteredClient(ClientMixin):  # type: ignore[misc]  # Authlib has no types
    """A client, as Authlib asks about it."""

    def __init__(self, client: Client, secret_key: bytes) -> None:
        self.client = client
        self._secret_key = secret_key

    def get_client_id(self) -> str:
        return self.client.client_id

    def get_default_redirect_uri(self) -> None:
        """None: every request must name its redirect_uri."""

    def get_allowed_scope(self, scope: str | None) -> str:
        allowed = set(self.client.scopes)
        return " ".join(dict.fromkeys(one for one in scope_to_list(scope) or [] if one in allowed))

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Byte for byte, but for the port of a native app's loopback address."""
        registered = self.client.redirect_uris
        return redirect_uri in registered or is_registered(redirect_uri, registered, self.client.kind)

    def check_client_secret(self, client_secret: str) -> bool:
        presented = keyed_hash(self._secret_key, client_secret)
        return hmac.compare_digest(presented, self.client.secret_hash or "")

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == self.client.token_endpoint_auth_method

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code" and "authorization_code" in self.client.grant_types

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.client.grant_types
