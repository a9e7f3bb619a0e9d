"""How a part of the worklist, and a moment of the log, are named in a request."""

import base64
import binascii
from datetime import datetime

import msgspec

Moment = int | datetime
"""A sequence of the log, or a time."""

Place = tuple[str, str, str]
"""IdP, grant set, user: the order of the worklist."""


class BadCursor(ValueError):
    """The cursor or the moment is none; the message says what it must be."""


def write_cursor(place: Place) -> str:
    """A place in the worklist as an opaque text. It holds for every replica and after every rebuild."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def read_cursor(cursor: str) -> Place:
    """The place that a cursor names. Raises `BadCursor`."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=tuple[str, str, str])
    except (binascii.Error, UnicodeError, msgspec.MsgspecError):
        raise BadCursor("The cursor is none that this API gave; leave it out to begin at the start.") from None


def read_moment(text: str) -> Moment:
    """A moment: digits are a sequence, everything else an RFC 3339 time with its offset. Raises `BadCursor`."""
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadCursor(f"at={text[:40]} is neither a sequence nor a time such as 2026-11-21T22:15:00Z.") from None
    if moment.tzinfo is None:
        raise BadCursor("The time needs its offset, such as Z or +02:00.")
    return moment
