"""One grammar for moments of the log: a sequence, a time, or the id of an event."""

import re
from datetime import datetime
from typing import Final

from scopefold.contracts.words import EVENT_ID_PATTERN

Moment = int | datetime | str
"""A sequence of the log (0: before its first event), a time, or the id of an event."""

_SUCH_AS: Final = "such as 2026-11-21T22:15:00Z"
GRAMMAR: Final = f"a sequence, a time {_SUCH_AS}, or the id of an event"
MAX_SEQ: Final = 2**63 - 1
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?:[Tt ]|\Z)", re.ASCII)
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)


class BadMoment(ValueError):
    """The text names no moment; the message says what it must be."""


class NoSuchMoment(LookupError):
    """The log has no such moment; the message says why."""


def no_event(event_id: str, where: str) -> NoSuchMoment:
    """There is no event with this id. It may have been meant for something else: most words could be an event's id."""
    return NoSuchMoment(f"No event {event_id} is in {where}, and that is no sequence and no time ({_SUCH_AS}).")


def parse(text: str) -> Moment:
    """The moment that a text names: digits are a sequence, what begins with a date is a time (RFC 3339) with its
    offset, and the rest an event's id. Raises `BadMoment`.
    """
    if text.isascii() and text.isdigit():
        return int(text) if len(text) < 20 else MAX_SEQ
    if _DATE.match(text):
        return _time(text)
    if _EVENT_ID.match(text):
        return text
    raise BadMoment(f"{text[:40]!r} is not {GRAMMAR}.")


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        raise BadMoment(f"{text[:40]} is no time; one is 2026-11-21T22:15:00Z.") from None
    if moment.tzinfo is None:
        raise BadMoment(f"{text[:40]} needs its offset, such as Z or +02:00.")
    return moment
