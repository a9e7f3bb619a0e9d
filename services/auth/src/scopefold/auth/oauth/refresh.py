"""The refresh token grant (RFC 6749, section 6): every use brings a new one, a second use ends the family.

But for FAPI clients, who keep the one they have (FAPI 2.0 Security Profile, section 5.3.2.1, item 9): their credentials
and keys protect it, and an answer that is lost on its way costs nothing.
"""

from typing import Any

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from authlib.oauth2.rfc6749.hooks import hooked
from msgspec.structs import replace

from scopefold.auth.core.families import Family, judge
from scopefold.auth.oauth.claims import permitted
from scopefold.auth.oauth.client import AUTH_METHODS, RegisteredClient
from scopefold.auth.oauth.loaded import Bound, GrantedUser, Loaded


class RefreshGrant(RefreshTokenGrant):  # type: ignore[misc]  # Authlib has no types
    """The caller rotates the family by compare-and-set before it answers."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(AUTH_METHODS)
    INCLUDE_NEW_REFRESH_TOKEN = True

    @hooked  # type: ignore[untyped-decorator]
    def validate_token_request(self) -> None:
        """Authlib calls extensions here for codes alone."""
        super().validate_token_request()

    def authenticate_refresh_token(self, refresh_token: str) -> "_StoredFamily | None":
        loaded: Loaded = self.server.loaded
        if loaded.presented is None:
            return None
        verdict = judge(loaded.family, loaded.presented, self.request.client.get_client_id(), loaded.now)
        loaded.reused = verdict == "reused"
        if verdict != "good" or loaded.over or loaded.identity is None or loaded.family is None:
            return None
        if loaded.family.issuer not in ("", loaded.issuer):
            return None
        loaded.bound = Bound(loaded.family.resource, loaded.family.dpop_jkt)
        stored = _StoredFamily(loaded.family)
        self.request.authorization_code = stored  # what an ID token tells of the login comes from there
        return stored

    def authenticate_user(self, refresh_token: "_StoredFamily") -> GrantedUser:
        family = refresh_token.family
        loaded: Loaded = self.server.loaded
        self.INCLUDE_NEW_REFRESH_TOKEN = not self.request.client.client.is_fapi
        loaded.kept = replace(family, used_at=loaded.now)
        claims = permitted(family.claims, self.request.client.client.scopes)
        return GrantedUser(family.user, family.idp, family.authenticated_at, family.sid or "", claims)

    def revoke_old_credential(self, refresh_token: "_StoredFamily") -> None:
        """The rotation, which is the caller's, does."""


class _StoredFamily:
    """A family, as Authlib asks about a refresh token and about the login behind it."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def check_client(self, client: RegisteredClient) -> bool:
        return client.get_client_id() == self.family.client_id

    def get_scope(self) -> str:
        return self.family.scope

    def get_nonce(self) -> None:
        """A refreshed ID token should have none (OpenID Connect Core 1.0, section 12.2)."""

    def get_auth_time(self) -> int:
        return int(self.family.authenticated_at.timestamp())

    def get_acr(self) -> str | None:
        return self.family.acr

    def get_amr(self) -> Any:
        return None
