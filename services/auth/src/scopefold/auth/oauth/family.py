"""How a family of tokens begins, and the text of its next refresh token."""

import secrets
from typing import Any

from scopefold.auth.core.authentication import ACR
from scopefold.auth.core.families import Family, rotated, with_lifetime, write_refresh_token
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.store.declared import SESSION_SECONDS
from scopefold.auth.store.records import Code


def begin(code: Code, loaded: Loaded) -> Family:
    """The family that the redemption of a code begins."""
    assert loaded.client is not None
    family = Family(
        client_id=code.client_id,
        user=code.user,
        idp=code.idp,
        scope=code.scope,
        resource=code.resource,
        dpop_jkt=_key_of_public(loaded),
        acr=ACR,
        sid=code.sid or None,
        claims=code.claims,
        issuer=code.issuer,
        authenticated_at=code.authenticated_at,
        issued_at=loaded.now,
        used_at=loaded.now,
        user_ends=loaded.user_ends,
        idp_since=loaded.idp_since,
        registration=loaded.client.registration,
    )
    return with_lifetime(
        family,
        idle_seconds=loaded.client.refresh_idle_seconds,
        absolute_seconds=loaded.client.refresh_absolute_seconds,
        session_seconds=SESSION_SECONDS,
    )


def _key_of_public(loaded: Loaded) -> str | None:
    """The key that refresh tokens of a public client are bound to, which has no credentials (RFC 9449, section 5)."""
    assert loaded.client is not None
    public = loaded.client.token_endpoint_auth_method == "none"
    return loaded.proof.jkt if loaded.proof is not None and public else None


def next_refresh_token(loaded: Loaded) -> str:
    """A new refresh token; the family that is to be stored knows its hash."""
    assert loaded.kept is not None
    secret = secrets.token_urlsafe(32)
    loaded.kept = rotated(loaded.kept, secret, loaded.now)
    return write_refresh_token(loaded.handle, secret)


def refresh_token_generator(loaded: Loaded) -> Any:
    """Authlib's way to ask for a refresh token."""

    def generate(**_: Any) -> str:
        return next_refresh_token(loaded)

    return generate
