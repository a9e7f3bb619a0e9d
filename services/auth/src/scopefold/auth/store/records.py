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
    resources: tuple[str, ...] = ()
    """Whom access tokens may be for (RFC 8707); none: this issuer."""
    dpop_jkt: str | None = None
    """The thumbprint of the key that alone may redeem it (RFC 9449, section 10)."""


class Pushed(Struct, frozen=True):
    """An authorization request that a client pushed (RFC 9126). Kept under the hash of its `request_uri`."""

    client_id: str
    parameters: dict[str, str]
    pushed_at: datetime
    browser: str | None = None
    """The hash of the mark of the browser that came with it in time: its login may take longer than the lifetime."""


class Seen(Struct, frozen=True):
    """Something that may come once: that it came."""

    at: datetime


class Client(Struct, frozen=True):
    """An OAuth client: an app that logs its users in here."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    secret_hash: str | None = None
    require_pushed_authorization_requests: bool = False
    resources: tuple[str, ...] = ()
    """Resources of its own that it may ask tokens for, beside the connectors' (RFC 8707)."""
    id_token_signed_response_alg: str = "RS256"
    dpop_bound_access_tokens: bool = False
