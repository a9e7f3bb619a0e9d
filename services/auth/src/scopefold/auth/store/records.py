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
    sid: str = ""
    """Its public id, which clients know it by (OpenID Connect Back-Channel Logout 1.0, section 2.1)."""
    secret: str = ""
    """The hash of what only the browser's cookie holds."""
    clients: tuple[str, ...] = ()
    """The clients that logged the user in with it, the latest last."""


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
    nonce: str | None = None
    """What the ID token must repeat, where it says who the user is."""
    fresh_since: datetime | None = None
    """The authentication at the IdP must be at least this late."""
    subject: str | None = None
    """The client said that only this user will do."""


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
    sid: str = ""
    """The session that it was issued in."""
    claims: tuple[str, ...] = ()
    """Claims that the client asked for by name, as far as its registration allows."""


class Client(Struct, frozen=True):
    """An OAuth client: an app that logs its users in here."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    secret_hash: str | None = None
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
