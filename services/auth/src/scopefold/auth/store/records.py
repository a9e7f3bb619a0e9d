"""The short-lived and the registered: sessions, logins under way, authorization codes, clients."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from scopefold.auth.core.redirects import ApplicationType, type_of
from scopefold.auth.store.buckets import hashed

Origin = Literal["operator", "dynamic", "document"]
"""Who registered a client: an operator, itself (RFC 7591), or nobody: it is described at the address that names it."""


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
    issuers: dict[str, str] = {}
    """As whom each of these clients last asked us: it believes no other issuer's logout tokens."""
    upstream: dict[str, str] = {}
    """By IdP, the hash of the session there (its `sid`) that the user last came from, where the IdP tells it."""


class AuthorizeRequest(Struct, frozen=True):
    """A client's authorization request, found valid, as its parameters were sent."""

    parameters: dict[str, str]


class Attempt(Struct, frozen=True):
    """A login that is under way at an IdP. Kept under its browser, its IdP and the hash of the state sent there."""

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
    issuer: str = ""
    """As whom we were asked."""


def attempts_of(browser: str, idp: str) -> str:
    """The key below which a browser's logins at an IdP are kept."""
    return f"attempt.{browser}.{idp}"


def attempt_key(browser: str, idp: str, state: str) -> str:
    """The key of one login under way: only the browser that began it, at the IdP it was sent to, finds it."""
    return f"{attempts_of(browser, idp)}.{hashed(state)}"


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
    issuer: str = ""
    """Who issued it: no other issuer redeems it."""
    resource: tuple[str, ...] = ()
    """What the tokens are for (RFC 8707); empty: for this server's own resources."""
    dpop_jkt: str | None = None
    """The thumbprint of the key that alone may redeem it (RFC 9449, section 10)."""
    idp_since: int = 0
    """The event that had first registered the IdP when the user logged in; 0: it was not noted then."""
    registration: str = ""
    """Which registration of the client it was issued to, as `Client` has it."""


class Pushed(Struct, frozen=True):
    """An authorization request that a client pushed (RFC 9126). Kept under the hash of its `request_uri`."""

    client_id: str
    parameters: dict[str, str]
    pushed_at: datetime
    browser: str | None = None
    """The hash of the mark of the browser that came with it in time: its login may take longer than the lifetime."""
    issuer: str = ""
    """As whom we were asked: no other issuer resolves it."""


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
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    application_type: ApplicationType | None = None
    require_pkce: bool = True
    require_nonce: bool = True
    """Where PKCE is not required: is a nonce, then?"""
    backchannel_logout_session_required: bool = False
    jwks: dict[str, Any] | None = None
    """Its public keys (RFC 7517), where it does not name an address of theirs."""
    jwks_uri: str | None = None
    token_endpoint_auth_signing_alg: str | None = None
    resources: tuple[str, ...] = ()
    """Resources of its own (RFC 8707): it may ask for tokens for them, beside the connectors' and this server's, and
    answers to them as a resource server.
    """
    exchange_resources: tuple[str, ...] = ()
    """For what it may exchange users' access tokens (RFC 8693): resource types of connectors, or other resources."""
    refresh_idle_seconds: int | None = None
    refresh_absolute_seconds: int | None = None
    resource_server: bool = False
    """May it ask about tokens that are for others (RFC 7662)?"""
    origin: Origin = "operator"
    registration_token_hash: str | None = None
    """Of the token that a client manages its own registration with (RFC 7592)."""
    registered_at: datetime | None = None
    used_at: datetime | None = None
    """When it was last seen in use, to the day. None: never."""
    require_pushed_authorization_requests: bool = False
    id_token_signed_response_alg: str = "RS256"
    dpop_bound_access_tokens: bool = False
    registration: str = ""
    """The random id of this registration, which a change of it keeps; empty where a version made it that gave none."""

    @property
    def kind(self) -> ApplicationType:
        """What it says it is or, where it does not, what its redirect addresses tell."""
        return self.application_type or type_of(self.redirect_uris)

    @property
    def is_fapi(self) -> bool:
        """Does all that FAPI 2.0 asks of a client? Then this server holds it to that profile."""
        return (
            self.token_endpoint_auth_method == "private_key_jwt"
            and self.require_pushed_authorization_requests
            and self.dpop_bound_access_tokens
        )

    def had(self, registration: str, at_seconds: float) -> bool:
        """Was it this client that was given something, then (in seconds since 1970), and as that registration? One that
        was removed and registered anew under the same id is another.

        The time says it only where one of the two has no registration noted: clocks of replicas differ.
        """
        if self.registration and registration:
            return self.registration == registration
        return self.registered_at is None or self.registered_at.timestamp() <= at_seconds

    @property
    def is_unknown(self) -> bool:
        """Did nobody here vouch for it? Then each person decides for themselves, and is told where it is from."""
        return self.origin != "operator"


class InitialAccess(Struct, frozen=True):
    """Leave to register clients (RFC 7591, section 3), that an operator gave. Kept under the hash of its token."""

    expires_at: datetime
    uses: int
    """How many clients may still be registered with it."""


class Consent(Struct, frozen=True):
    """What a user allowed an unknown client. Kept under user and client."""

    scopes: tuple[str, ...]
    places: tuple[str, ...]
    """Where codes may be sent: a client that changes its addresses is a new question."""
    at: datetime
    resources: tuple[str, ...] = ()
    """The connectors that it may use as the user."""

    def is_within(self, other: "Consent") -> bool:
        """Does the other one allow all of this?"""
        return all(
            set(asked) <= set(allowed)
            for asked, allowed in (
                (self.scopes, other.scopes),
                (self.places, other.places),
                (self.resources, other.resources),
            )
        )

    def joined_to(self, before: "Consent | None", at: datetime) -> "Consent":
        """What is allowed once this is, too."""
        known = before or Consent((), (), at)
        return Consent(
            scopes=tuple(dict.fromkeys((*known.scopes, *self.scopes))),
            places=tuple(dict.fromkeys((*known.places, *self.places))),
            resources=tuple(dict.fromkeys((*known.resources, *self.resources))),
            at=at,
        )


class PendingConsent(Struct, frozen=True):
    """A person's decision that is awaited. Kept under the hash of the ticket in the page's form."""

    issuer: str
    request: AuthorizeRequest
    shown: Consent
    """What the page said."""
    user: str
    idp: str
    browser: str
    """The hash of the mark of the browser that was asked."""
    idp_since: int = 0
    """As in `Code`."""
