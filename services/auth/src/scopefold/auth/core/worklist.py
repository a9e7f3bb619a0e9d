"""How a part of the worklist and its order are named in a request."""

import base64
import binascii
import hashlib
from typing import Final, Literal, assert_never

import msgspec
from msgspec import Struct

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Because, Judgement, Row
from scopefold.scopes.canonical import canonical_name

NEVER: Final = 1e18
"""When a token dies that no clock of the provider's ends, in seconds since 1970: after all others."""

Order = Literal["idp", "user", "since", "deadline"]
Place = tuple[float, float, str, str, str]
"""Where a row stands in an order: two numbers, then texts."""


class BadCursor(ValueError):
    """The cursor is none; the message says what it must be."""


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


class _Cursor(Struct, frozen=True, array_like=True):
    """A place, and the order and the filters that it is a place in."""

    order: Order
    filters: str
    place: Place


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


def write_cursor(place: Place, order: Order, filters: Filters) -> str:
    """A place in the worklist as an opaque text. It holds for every replica and after every rebuild."""
    return base64.urlsafe_b64encode(msgspec.json.encode(_Cursor(order, _digest(filters), place))).decode()


def read_cursor(cursor: str, order: Order, filters: Filters) -> Place:
    """The place that a cursor names. Raises `BadCursor`, also where it was given in another order or for others."""
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=_Cursor)
    except (binascii.Error, UnicodeError, msgspec.MsgspecError):
        raise BadCursor("The cursor is none that this API gave; leave it out to begin at the start.") from None
    if (found.order, found.filters) != (order, _digest(filters)):
        raise BadCursor("The cursor was given for another order or other filters; leave it out to begin at the start.")
    return found.place


def _digest(filters: Filters) -> str:
    return hashlib.sha256(msgspec.json.encode(filters)).hexdigest()[:16]
