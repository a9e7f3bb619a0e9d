"""Which part of the worklist is asked for, and in which order? One meaning, wherever the worklist is kept."""

from collections.abc import Iterable
from typing import Final, Literal, Protocol, TypeVar, assert_never

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import Judgement, Row, judge
from scopefold.consent.requirements import Because, Requirements, requirements
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import Grant
from scopefold.scopes.union import union

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


class HeldSet(Protocol):
    """A canonical grant that users hold at an IdP, how many do, and what it is worth."""

    @property
    def idp(self) -> str:
        """Where."""
        ...

    @property
    def users(self) -> int:
        """How many hold it."""
        ...

    @property
    def grant(self) -> Grant:
        """What is held."""
        ...

    @property
    def judgement(self) -> Judgement:
        """What it is worth."""
        ...


_Set = TypeVar("_Set", bound=HeldSet)


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


def unclear(idp: Idp, grant: Grant, judgement: Judgement, filters: Filters) -> bool:
    """Is it not known whether a grant lacks what is asked for? Only where the IdP did not say what it granted, and only
    of what is needed there, for the connector that is asked about, is it a question.
    """
    if filters.idp not in (None, idp.idp) or grant.scopes is not None:
        return False
    if filters.connector is None and filters.scope is None:
        return judgement.status == "unknown"
    return judge(idp, grant, _asked_about(idp, filters)).status == "unknown"


def unclear_sets(scopes: State, sets: Iterable[_Set], chosen: Chosen) -> list[_Set]:
    """The grant sets of whose users it is not known whether they are among the choice. None of them has been for long.

    Which users are chosen is not looked at.
    """
    if chosen.aged:
        return []
    return [one for one in sets if unclear(scopes.idp(one.idp), one.grant, one.judgement, chosen.filters)]


def _asked_about(idp: Idp, filters: Filters) -> Requirements:
    """What is needed at an IdP of the scope, and for the connector, that are asked about."""
    needs, profile = requirements(idp), idp.profile
    name = None if filters.scope is None else canonical_name(profile, filters.scope)

    def fits(scopes: Iterable[str], because: Iterable[Because]) -> bool:
        return (name is None or name in canonical(profile, scopes)) and (
            filters.connector is None or any(_is_of(one, filters.connector) for one in because)
        )

    return Requirements(
        {scope: because for scope, because in needs.scopes.items() if fits([scope], because)},
        tuple(one for one in needs.choices if fits(union(*one.any_of.clauses), [one.because])),
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
