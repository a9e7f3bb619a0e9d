"""One grammar for moments of the log: a sequence, a time, or the id of an event.

Reading the text is pure. Finding the sequence that it means asks the log: nothing is kept for it.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from scopefold.contracts.recorded import AsOf, Message
from scopefold.contracts.subjects import LEDGER
from scopefold.contracts.words import EVENT_ID_PATTERN
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import BATCH, read

Moment = int | datetime | str
"""A sequence of the log (0: before its first event), a time, or the id of an event."""

_SUCH_AS: Final = "such as 2026-11-21T22:15:00Z"
GRAMMAR: Final = f"a sequence, a time {_SUCH_AS}, or the id of an event"
SCANNED: Final = 100_000
"""An id is looked for among so many of the log's last messages, and among all that concern IdPs and connectors."""

MAX_SEQ: Final = 2**63 - 1
_OF_IDPS: Final = f"{LEDGER}.*.idp.>"
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


async def resolve(log: Log, moment: Moment, now: datetime) -> int:
    """The sequence of the last event at a moment; 0 before the first. For an event's id, that event's own.

    Raises `NoSuchMoment` for what is after the log's end or `now`, or before the log began, and for an id that is
    not found; `LogUnavailable`, `LogNotDeclared`, `LogGap`.
    """
    stands = await status(log)
    if isinstance(moment, int):
        if moment > stands.last_seq:
            raise NoSuchMoment(f"The log ends at sequence {stands.last_seq}.")
        return moment
    if isinstance(moment, str):
        return await _seq_of(log, moment, stands.last_seq)
    if moment > now:
        raise NoSuchMoment(f"{moment.isoformat()} has not come yet.")
    # A log that was restored is younger than its first event.
    began = min(stands.created, await time_of(log, 1)) if stands.last_seq else stands.created
    if moment < began:
        raise NoSuchMoment(f"The log began at {began.isoformat()}.")
    return await _seq_at(log, moment, stands.last_seq)


async def time_of(log: Log, seq: int) -> datetime:
    """The log's own time of a sequence. Raises `NoSuchMoment`, `LogUnavailable`."""
    async for messages in read(log, after=seq - 1, until=seq):
        return messages[0].at
    raise NoSuchMoment(f"Sequence {seq} is not in the log.")


async def as_of(log: Log, seq: int) -> AsOf:
    """A place in the log, and the log's time there; 0: before its first event. Raises as `time_of`."""
    return AsOf(seq, await time_of(log, seq) if seq else None)


async def stands_at(log: Log, event_id: str, seq: int) -> bool:
    """Is it the event with this id that stands there? Raises `LogUnavailable`."""
    found = [message async for messages in read(log, after=seq - 1, until=seq) for message in messages]
    return _place(found, event_id) == seq


async def _seq_at(log: Log, moment: datetime, last: int) -> int:
    """The last sequence at a time. The log's times never go back, so halving finds it."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        if await time_of(log, middle) <= moment:
            low = middle
        else:
            high = middle - 1
    return low


async def _seq_of(log: Log, event_id: str, last: int) -> int:
    """The sequence of the event with this id: first among those of IdPs, which are few and named most, then from
    the log's end backwards. An id that stands twice, days apart, means its latest place.
    """
    found = 0
    async for messages in read(log, subject=_OF_IDPS):
        found = _place(messages, event_id) or found
    if found:
        return found
    high, lowest = last, max(0, last - SCANNED)
    while high > lowest:
        low = max(lowest, high - BATCH)
        async for messages in read(log, after=low, until=high):
            found = _place(messages, event_id) or found
        if found:
            return found
        high = low
    where = f"the last {SCANNED} events; give its sequence instead" if lowest else "the log"
    raise no_event(event_id, where)


def _place(messages: Sequence[Message], event_id: str) -> int:
    """Where the event with this id stands among messages, the last place if there are more; 0: nowhere."""
    return next((message.seq for message in reversed(messages) if message.headers.get("Nats-Msg-Id") == event_id), 0)
