"""How a part of the worklist is named in a request."""

import base64
import binascii

import msgspec

Place = tuple[str, str, str]
"""IdP, grant set, user: the order of the worklist."""


class BadCursor(ValueError):
    """The cursor is none; the message says what it must be."""


def write_cursor(place: Place) -> str:
    """A place in the worklist as an opaque text. It holds for every replica and after every rebuild."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def read_cursor(cursor: str) -> Place:
    """The place that a cursor names. Raises `BadCursor`."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor.encode()), type=tuple[str, str, str])
    except (binascii.Error, UnicodeError, msgspec.MsgspecError):
        raise BadCursor("The cursor is none that this API gave; leave it out to begin at the start.") from None
