"""What a client may not be registered as."""

from typing import Final

from scopefold.auth.oauth.client_keys import why_unusable
from scopefold.auth.store.records import Client

USER_PREFIX: Final = "u_"


def why_unsound(client: Client) -> str | None:
    """Why a client may not be registered so, if it may not."""
    public = client.token_endpoint_auth_method == "none"
    if client.client_id.startswith(USER_PREFIX):  # RFC 9700, section 4.15: a subject must not be two things
        return f"A client_id may not begin with {USER_PREFIX}: as a token's subject it could be taken for a user."
    if public and (client.resource_server or "client_credentials" in client.grant_types):
        return "A public client has no credentials: it can neither be a resource server nor use client_credentials."
    if (client.token_endpoint_auth_method == "private_key_jwt") != (client.jwks is not None):
        return "Send jwks with private_key_jwt, and with no other way of authentication."
    return why_unusable(client.jwks) if client.jwks is not None else None
