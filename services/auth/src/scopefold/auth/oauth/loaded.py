"""What one request needs of the store, and whom a code is issued for."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from msgspec import Struct

from scopefold.auth.oauth.dpop_proof import Proof
from scopefold.auth.oauth.keys import Keys
from scopefold.auth.store.records import Client, Code
from scopefold.auth.store.vault import Identity

CODE_SECONDS: Final = 60
ACCESS_SECONDS: Final = 600
ID_TOKEN_SECONDS: Final = 600


class Bound(Struct, frozen=True):
    """What a code or a refresh token that is redeemed is bound to. No resources: this issuer alone."""

    resources: tuple[str, ...] = ()
    dpop_jkt: str | None = None


class Loaded(Struct, kw_only=True):
    """What one request may need from the store, and what it wants stored. `code` is still to be claimed."""

    issuer: str
    keys: Keys
    client_secret_key: bytes
    now: datetime
    client: Client | None = None
    code: Code | None = None
    identity: Identity | None = None
    issued: tuple[str, Code] | None = None
    connectors: Collection[str] = ()
    """The resource types that a connector is provisioned for: every client may name them."""
    pushed: bool = False
    """Was the authorization request pushed before (RFC 9126)?"""
    bound: Bound | None = None
    """Set by the grant that redeems something; None where nothing is redeemed."""
    audience: tuple[str, ...] = ()
    """Whom the access token is for; nobody named: this issuer."""
    url: str = ""
    """The address that the request came to, as its sender knows it."""
    nonce_key: bytes = b""
    nonce_required: bool = False
    proof: Proof | None = None
    """The DPoP proof that came along and holds (RFC 9449), still to be kept so that it is seen once."""


class GrantedUser(Struct, frozen=True):
    """The user whom a code is issued for, and how they logged in."""

    user: str
    idp: str
    authenticated_at: datetime

    def get_user_id(self) -> str:
        """The subject, as Authlib asks for it."""
        return self.user
