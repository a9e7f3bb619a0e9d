"""The way through a provider's pages: a request, an account, a consent. The steps are the same at every provider.

A transaction serves once, in the browser that began it, for ten minutes a step. What a provider thinks of a request
is in its own module, which has the functions of `Rules`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.state import App, Choice, Mint, State, Transaction, keep

TRANSACTION_SECONDS: Final = 600
EXPIRED: Final = "This page had expired, was sent twice, or belongs to another browser."
S = TypeVar("S")


class Site(Struct, frozen=True):
    """A place of the user's that a grant is for: an Atlassian site, a Slack workspace."""

    id: str
    name: str
    url: str


class Ask(Struct, frozen=True):
    """What a consent page asks."""

    app: App
    choices: tuple[Choice, ...]
    sites: tuple[Site, ...] = ()
    notes: tuple[str, ...] = ()


class Consent(Struct, frozen=True):
    """The consent page."""

    transaction: str
    user: User
    ask: Ask


class ErrorPage(Struct, frozen=True):
    """Shown to the user where they are; the client learns nothing. `reason` is what the sandbox adds for developers."""

    title: str
    lines: tuple[str, ...]
    reason: str
    status: int = 400


class ErrorRedirect(Struct, frozen=True):
    """Sends the user to the provider's own error page (id.atlassian.com/error), never to the client."""

    error: str
    description: str
    reason: str


class ToClient(Struct, frozen=True):
    """Sends the user back to the client."""

    url: str


class Answered(Struct, frozen=True):
    """What the user answered on the consent page. `choices` are those given."""

    accepted: bool
    choices: tuple[Choice, ...] = ()
    site: str = ""

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes that were given, of all lists."""
        return tuple(choice.scope for choice in self.choices)


Refusal = ErrorPage | ErrorRedirect | ToClient
Check = Callable[[State[S], Transaction], Refusal | None]


class Rules(Protocol[S]):
    """What one provider decides. Its module is its own `Rules`."""

    @property
    def EARLY(self) -> bool:  # noqa: N802 (a module's constant)
        """Whether a bad request is refused before the login."""

    @property
    def CHECKS(self) -> Sequence[Check[S]]:  # noqa: N802
        """What is wrong with a request, in the order in which the provider notices."""

    def ask(self, state: State[S], asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
        """What the user must consent to, or where a user goes who need not be asked."""

    def give(self, state: State[S], asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
        """Record what the user decided, and send them back."""

    def stray(self, reason: str) -> ErrorPage | ErrorRedirect:
        """What is shown to a browser that has no business here."""


def begin(
    state: State[S], query: Sequence[tuple[str, str]], *, browser: str, now: float, mint: Mint, tenant: str = ""
) -> str:
    """Start an authorization and return its transaction."""
    names = [name for name, _ in query]
    repeated = tuple(sorted({name for name in names if names.count(name) > 1}))
    waiting = Transaction("login", dict(query), repeated, browser, now + TRANSACTION_SECONDS, tenant)
    return keep(state.transactions, mint(), waiting)


def refuse(rules: Rules[S], state: State[S], asked: Transaction) -> Refusal | None:
    """The first thing that is wrong with the request."""
    return next((refusal for check in rules.CHECKS if (refusal := check(state, asked)) is not None), None)


def log_in(
    rules: Rules[S], state: State[S], transaction: str, user: str, *, browser: str, now: float, mint: Mint
) -> Consent | Refusal:
    """The user chose an account: show the consent page, or what is wrong."""
    begun = _claim(state, transaction, "login", browser, now)
    if begun is None or user not in USERS:
        return rules.stray(EXPIRED)
    begun = replace(begun, user=user)
    if (refusal := refuse(rules, state, begun)) is not None:
        return refusal
    asked = rules.ask(state, begun, now=now, mint=mint)
    if not isinstance(asked, Ask):
        return asked
    waiting = replace(begun, waits_for="consent", choices=asked.choices, expires_at=now + TRANSACTION_SECONDS)
    return Consent(keep(state.transactions, mint(), waiting), USERS[user], asked)


def decide(
    rules: Rules[S],
    state: State[S],
    transaction: str,
    *,
    accepted: bool,
    site: str = "",
    ticked: frozenset[int] = frozenset(),
    browser: str,
    now: float,
    mint: Mint,
) -> Refusal:
    """The user accepted or cancelled. `ticked` are the places of the ticked lines, counted from 0."""
    begun = _claim(state, transaction, "consent", browser, now)
    if begun is None:
        return rules.stray(EXPIRED)
    given = tuple(one for place, one in enumerate(begun.choices) if not one.may_untick or place in ticked)
    return rules.give(state, begun, Answered(accepted, given, site), now=now, mint=mint)


def target_of(state: State[S], asked: Transaction) -> str:
    """Where the user is sent back to by a provider that needs no redirect_uri: there, else to the app's first callback.

    Empty if there is neither.
    """
    return asked.params.get("redirect_uri") or next(iter(state.apps[asked.params["client_id"]].callbacks), "")


def to_client(
    asked: Transaction, answer: Mapping[str, str], *, redirect_uri: str | None = None, in_fragment: bool = False
) -> ToClient:
    """Back to the client with this answer and the state that it sent, if it sent one."""
    parts = urlsplit(redirect_uri or asked.params["redirect_uri"])
    told = {**answer, **({"state": asked.params["state"]} if "state" in asked.params else {})}
    if in_fragment:
        return ToClient(urlunsplit(parts._replace(fragment=urlencode(told))))
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *told.items()])
    return ToClient(urlunsplit(parts._replace(query=query)))


def error_to_client(asked: Transaction, error: str, description: str, **more: str) -> ToClient:
    """Back to the client with a refusal (RFC 6749, section 4.1.2.1)."""
    return to_client(asked, {"error": error, "error_description": description, **more})


def _claim(state: State[S], transaction: str, waits_for: str, browser: str, now: float) -> Transaction | None:
    """Take the transaction out, so that it serves once, if this browser began it and it waits for this step."""
    begun = state.transactions.get(transaction)
    if begun is None or begun.waits_for != waits_for or begun.browser != browser:
        return None
    del state.transactions[transaction]
    return begun if now < begun.expires_at else None
