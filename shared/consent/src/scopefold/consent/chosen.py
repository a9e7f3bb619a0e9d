"""Which part of the worklist is asked for, and in which order? One meaning, wherever the worklist is kept."""

from typing import Final, Literal, assert_never

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Because, Judgement, Row
from scopefold.scopes.canonical import canonical_name

NEVER: Final = 1e18
"""When a token dies that no clock of the provider's ends, in seconds since 1970: after all others."""

Order = Literal["idp", "user", "since", "deadline"]
Place = tuple[float, float, str, str, str]
"""Where a row stands in an order: two numbers, then texts."""


class Filters(Struct, frozen=True, kw_only=True):
    """Which rows are wanted: all of these must hold. The last ones look at single users, the others at grant sets."""

    idp: str | None = None
    connector: str | None = None
    """A connector's id, or its resource type."""
    scope: str | None = None
    user: str | None = None
    group: str | None = None
    since_after: str | None = None
    since_before: str | None = None


class Chosen(Struct, frozen=True, kw_only=True):
    """Which rows: the filters, with what they come to.

    `after` and `before` are sequences: missing since a later event than the one, and not since a later than the other.
    `users` are the only ones who are wanted, if named.
    """

    filters: Filters = Filters()
    after: int | None = None
    before: int | None = None
    users: tuple[str, ...] | None = None

    def has(self, row: Row) -> bool:
        """Is a row old and young enough?"""
        return (self.after is None or row.since.seq > self.after) and (
            self.before is None or row.since.seq <= self.before
        )

    @property
    def aged(self) -> bool:
        """Does it matter since when a row is there?"""
        return self.after is not None or self.before is not None


def wanted(idp: Idp, judgement: Judgement, filters: Filters) -> bool:
    """Does a judgement lack what is asked for: a scope, for a connector?"""
    if judgement.status != "missing" or filters.idp not in (None, idp.idp):
        return False
    name = None if filters.scope is None else canonical_name(idp.profile, filters.scope)
    return any(
        (name is None or canonical_name(idp.profile, lack.scope) == name)
        and (filters.connector is None or any(_is_of(because, filters.connector) for because in lack.because))
        for lack in judgement.lacks
    )


def _is_of(because: Because, connector: str) -> bool:
    return connector in (because.connector, because.resource_type)


def place_of(order: Order, key: str, row: Row) -> Place:
    """Where a row stands, whose grant set is named `key`. No two rows stand at the same place."""
    match order:
        case "idp":
            return 0, 0, row.idp, key, row.user
        case "user":
            return 0, 0, row.user, row.idp, ""
        case "since":
            return row.since.seq, row.stored.seq, row.idp, row.user, ""
        case "deadline":
            return row.dies.at.timestamp() if row.dies else NEVER, 0, row.idp, row.user, ""
    assert_never(order)
