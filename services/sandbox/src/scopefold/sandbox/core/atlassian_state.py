"""What the Atlassian stand-in keeps, and what it answers: values only."""

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field


class User(Struct, frozen=True):
    """A person with an Atlassian account."""

    name: str
    account_id: str
    display_name: str

    @property
    def email(self) -> str:
        """An address at a domain that can never exist (RFC 2606)."""
        return f"{self.name}@sandbox.example"


USERS: Final[Mapping[str, User]] = {
    user.name: user
    for user in (
        User("alice", "712020:a11ce000-0000-4000-8000-000000000001", "Alice Arden"),
        User("bob", "712020:b0b00000-0000-4000-8000-000000000002", "Bob Brandt"),
        User("carol", "712020:ca401000-0000-4000-8000-000000000003", "Carol Castell"),
        User("dave", "712020:da4e0000-0000-4000-8000-000000000004", "Dave Duras"),
    )
}


class Site(Struct, frozen=True):
    """An Atlassian Cloud site. Its id is what Atlassian calls the cloudid."""

    id: str
    name: str
    url: str


SITE: Final = Site("5ca1ab1e-0000-4000-8000-00000000517e", "sandbox-site", "https://sandbox-site.example")


class App(Struct, frozen=True):
    """An app in Atlassian's developer console."""

    client_id: str
    client_secret: str
    name: str
    callbacks: tuple[str, ...]
    permitted_scopes: frozenset[str]


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """Behaviours that are not established of the real service."""

    echo_offline_access: bool = False


class Transaction(Struct, frozen=True):
    """One authorization under way, in one browser, waiting for the login or for the consent."""

    waits_for: Literal["login", "consent"]
    params: Mapping[str, str]
    repeated: tuple[str, ...]
    browser: str
    expires_at: float
    user: str = ""


class Grant(Struct, frozen=True):
    """What one user gave one app. There is only ever one; tokens point to it and see its scopes change."""

    id: str
    client_id: str
    user: str
    scopes: tuple[str, ...]
    sites: tuple[str, ...]


class Code(Struct, frozen=True):
    """An authorization code."""

    grant: Grant
    redirect_uri: str
    challenge: str | None
    expires_at: float


class AccessToken(Struct, frozen=True):
    """An access token."""

    grant: Grant
    expires_at: float


class Family(Struct, frozen=True):
    """The refresh tokens that descend from one login. `generation` is that of the newest."""

    grant: Grant
    generation: int
    rotated_at: float
    used_at: float


class State(Struct):
    """Everything that the stand-in remembers."""

    apps: dict[str, App]
    switches: Switches = Switches()
    transactions: dict[str, Transaction] = field(default_factory=dict)
    grants: dict[tuple[str, str], Grant] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[str, int]] = field(default_factory=dict)


class ErrorPage(Struct, frozen=True):
    """Shown to the user where they are; the client learns nothing."""

    title: str
    lines: tuple[str, ...]
    reason: str


class ErrorRedirect(Struct, frozen=True):
    """Sends the user to Atlassian's own error page (id.atlassian.com/error), never to the client."""

    error: str
    description: str
    reason: str


class Consent(Struct, frozen=True):
    """The consent page."""

    transaction: str
    app: App
    user: User
    scopes: tuple[str, ...]
    needs_site: bool


class ToClient(Struct, frozen=True):
    """Sends the user back to the client."""

    url: str


class Tokens(Struct, frozen=True, omit_defaults=True):
    """The token endpoint's answer (Atlassian sends no id_token)."""

    access_token: str
    scope: str
    expires_in: int
    token_type: str
    refresh_token: str | None = None


class TokenRefused(Struct, frozen=True):
    """The token endpoint's refusal, with its HTTP status."""

    status: int
    error: str
    description: str


class ApiRefused(Struct, frozen=True):
    """A refusal of the API gateway. It never says which scope it wanted."""

    message: str
    status: int = 401
