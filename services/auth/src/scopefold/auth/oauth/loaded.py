"""What one request needs of the store, and whom a code is issued for."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from joserfc.jwk import KeySet
from msgspec import Struct

from scopefold.auth.core.families import Family, Presented
from scopefold.auth.core.stored_token import Identity
from scopefold.auth.oauth.access_claims import AccessClaims
from scopefold.auth.oauth.dpop_proof import Proof
from scopefold.auth.oauth.keys import Keys
from scopefold.auth.store.records import Client, Code

CODE_SECONDS: Final = 60
ACCESS_SECONDS: Final = 600
ID_TOKEN_SECONDS: Final = 600


class Bound(Struct, frozen=True):
    """What a code or a refresh token that is redeemed is bound to. No resources: this issuer alone."""

    resources: tuple[str, ...] = ()
    dpop_jkt: str | None = None


class Assertion(Struct, frozen=True):
    """A client's assertion that verified (RFC 7523): under which name it is remembered, and until when."""

    name: str
    expires_at: int


class Told(Struct, frozen=True):
    """A token that somebody asks about or wants revoked, and that is ours. It may be over."""

    client_id: str
    live: bool
    family_id: str | None
    claims: AccessClaims | None
    """What it says, where it is an access token."""
    family: Family | None
    """What it continues, where it is a refresh token."""
    unknown: bool = False
    """Was an access token that is good given to a client that nobody vouches for?"""


class Exchange(Struct, frozen=True):
    """A token that a client may have in exchange for a user's (RFC 8693)."""

    subject: AccessClaims
    target: str
    scopes: tuple[str, ...]
    """What was asked for; none: everything that may be had."""
    site: str = ""
    """The one site of the user's that it is for."""


class Loaded(Struct, kw_only=True):
    """What one request may need from the store, and what it wants stored.

    The code is redeemed by storing `kept` where there was no `family`, the refresh token by storing it in its place.
    """

    issuer: str
    keys: Keys
    client_secret_key: bytes
    now: datetime
    client: Client | None = None
    code: Code | None = None
    identity: Identity | None = None
    groups: tuple[str, ...] = ()
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
    handle: str = ""
    """What leads to the family of the code or the refresh token that was presented."""
    presented: Presented | None = None
    """The refresh token."""
    family: Family | None = None
    """What is stored under that handle."""
    over: bool = False
    """Did whoever ended the user's grants or the session mean this code or family, too?"""
    user_ends: int = 0
    idp_since: int = 0
    """The event that first registered the user's IdP; 0: it is not registered."""
    reused: bool = False
    """The grammar says: what was presented was used before, and its family must be ended."""
    kept: Family | None = None
    """The grammar says: store this."""
    audiences: tuple[str, ...] = ()
    """Under which names the client may address this server in an assertion."""
    client_keys: KeySet | None = None
    """The client's own public keys."""
    assertion: Assertion | None = None
    """The grammar says: the client authenticated by this assertion, which must be its first use."""
    told: Told | None = None
    """The token that is asked about."""
    exchange: Exchange | None = None
    """The grammar says: this is to be handed out for the token that was presented."""
    revoke: Told | None = None
    """The grammar says: end this."""


class GrantedUser(Struct, frozen=True):
    """The user whom a code is issued for, and how they logged in."""

    user: str
    idp: str
    authenticated_at: datetime
    sid: str = ""
    claims: tuple[str, ...] = ()
    """Claims that the client asked for by name."""
    idp_since: int = 0
    """The event that had first registered the IdP when they logged in."""

    def get_user_id(self) -> str:
        """The subject, as Authlib asks for it."""
        return self.user
