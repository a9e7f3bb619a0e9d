"""What every stand-in keeps in its memory: values only, and the one way of keeping them, which is bounded."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeVar

from msgspec import Struct, field

from scopefold.sandbox.core.faults import Faults

MOST_KEPT: Final = 100_000
"""Above this many of a kind, the oldest is forgotten: a stand-in left running must not fill the memory."""

Mint = Callable[[], str]
"""Gives an unguessable text."""

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")


class App(Struct, frozen=True):
    """An app, as the provider's developer console knows it."""

    client_id: str
    client_secret: str
    name: str
    callbacks: tuple[str, ...]
    permitted_scopes: frozenset[str]


class Choice(Struct, frozen=True):
    """One line of a consent page. `part` tells lists of scopes apart where a provider has several (Slack)."""

    scope: str
    words: str
    may_untick: bool = False
    ticked: bool = True
    part: str = ""


class Transaction(Struct, frozen=True):
    """One authorization under way, in one browser, waiting for the login or for the consent."""

    waits_for: Literal["login", "consent"]
    params: Mapping[str, str]
    repeated: tuple[str, ...]
    browser: str
    expires_at: float
    tenant: str = ""
    user: str = ""
    choices: tuple[Choice, ...] = ()

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes asked for, parted by spaces, each once."""
        return tuple(dict.fromkeys(self.params.get("scope", "").split()))

    @property
    def prompts(self) -> tuple[str, ...]:
        """Which pages the client insists on, or that it wants none (OpenID Connect Core 1.0, section 3.1.2.1)."""
        return tuple(self.params.get("prompt", "").split())


class Grant(Struct, frozen=True):
    """What one user gave one app. There is only ever one."""

    id: str
    client_id: str
    user: str
    scopes: tuple[str, ...]
    sites: tuple[str, ...] = ()


class Code(Struct, frozen=True):
    """An authorization code, with the request that it answers."""

    grant: Grant
    scopes: tuple[str, ...]
    asked: Transaction
    issued_at: float
    used: bool = False


class AccessToken(Struct, frozen=True):
    """An access token. `expires_at` is infinite where the provider knows no end."""

    grant: Grant
    scopes: tuple[str, ...]
    expires_at: float
    family: str | None = None
    audience: str = ""


class Family(Struct, frozen=True):
    """The refresh tokens that descend from one login. `generation` is that of the newest."""

    grant: Grant
    scopes: tuple[str, ...]
    begun_at: float
    rotated_at: float
    used_at: float
    generation: int = 0


class Seen(Struct):
    """How refresh tokens were used here, for whoever must show that none was used twice."""

    renewals: int = 0
    repeats: int = 0
    """Of a token that had been used already, within the leeway."""
    breaches: int = 0
    """Of a token that had been used already, and that ended its family."""


class State(Struct, Generic[S]):
    """Everything that a stand-in remembers, and how it was told to behave. `base` is its own address."""

    apps: dict[str, App]
    switches: S
    base: str = ""
    faults: Faults = Faults()
    transactions: dict[str, Transaction] = field(default_factory=dict)
    grants: dict[tuple[str, str], Grant] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    refresh_tokens: dict[str, tuple[str, int]] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)


def keep(store: dict[K, V], key: K, value: V) -> K:
    """Put a value in, forget the oldest where there are too many, and give the key back."""
    while len(store) >= MOST_KEPT and key not in store:
        del store[next(iter(store))]
    store[key] = value
    return key


def preset(name: str, callbacks: Sequence[str], permitted: frozenset[str], switches: S, *, base: str) -> State[S]:
    """A fresh state with one app, whose id and secret are made of the stand-in's name."""
    app = App(f"sandbox-{name}", f"sandbox-{name}-secret", "Scopefold Sandbox App", tuple(callbacks), permitted)
    return State({app.client_id: app}, switches, base)


def identify(state: State[S], client_id: str, secret: str) -> App | Literal["client", "secret"]:
    """The app that these credentials belong to, or which of the two is wrong."""
    if (app := state.apps.get(client_id)) is None:
        return "client"
    return app if hmac.compare_digest(secret.encode(), app.client_secret.encode()) else "secret"
