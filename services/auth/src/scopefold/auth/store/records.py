"""The short-lived and the registered: sessions, logins under way, authorization codes, clients."""

from datetime import datetime

from msgspec import Struct


class Session(Struct, frozen=True):
    """A browser that a user logged in with."""

    user: str
    created_at: datetime
    authenticated_at: datetime
    idps: tuple[str, ...]
    """The IdPs that the user came through in this session, the latest last."""


class AuthorizeRequest(Struct, frozen=True):
    """A client's authorization request, found valid, as its parameters were sent."""

    parameters: dict[str, str]


class Attempt(Struct, frozen=True):
    """A login that is under way at an IdP. Kept under the hash of the state that was sent there."""

    attempt: str
    idp: str
    request: AuthorizeRequest
    browser: str
    """The hash of the cookie of the browser that began it."""
    verifier: str
    requested: tuple[str, ...]
    user: str | None
    """Who was logged in when it began: only the same user may come back."""
    began_at: datetime


class Latest(Struct, frozen=True):
    """The login that a browser began last at an IdP, by the hash of its state."""

    attempt: str


class Code(Struct, frozen=True):
    """An authorization code that was issued and not yet redeemed. Kept under its hash."""

    client_id: str
    redirect_uri: str
    scope: str
    user: str
    idp: str
    nonce: str | None
    code_challenge: str | None
    authenticated_at: datetime
    issued_at: datetime
    resource: tuple[str, ...] = ()
    """What the tokens are for (RFC 8707); empty: for this server's own resources."""
    acr: str | None = None
    sid: str | None = None
    """The public id of the session that it was issued in."""


Member = str | bool | tuple[str, ...]


class Jwks(Struct, frozen=True):
    """A set of keys as its owner sent it (RFC 7517, section 5)."""

    keys: tuple[dict[str, Member], ...]


class Client(Struct, frozen=True):
    """An OAuth client: an app that logs its users in here."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    secret_hash: str | None = None
    jwks: Jwks | None = None
    """The public keys that it signs assertions with (RFC 7523)."""
    token_endpoint_auth_signing_alg: str | None = None
    resource_server: bool = False
    """May it introspect tokens that are meant for it?"""
    resources: tuple[str, ...] = ()
    """The resource indicators that it answers to, as a resource server."""
    refresh_idle_seconds: int | None = None
    refresh_absolute_seconds: int | None = None
