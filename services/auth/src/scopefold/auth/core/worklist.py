"""How a place in the worklist is named in a request."""

import base64
import binascii
import hashlib

import msgspec
from msgspec import Struct

from scopefold.consent.chosen import Filters, Order, Place


class BadCursor(ValueError):
    """The cursor is none; the message says what to do."""


class _Cursor(Struct, frozen=True, array_like=True):
    """A place, and the order and the filters that it is a place in."""

    order: Order
    filters: str
    place: Place


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
