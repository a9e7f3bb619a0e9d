"""Where in the log a moment is: nothing is kept for it, the log itself is asked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from scopefold.contracts.recorded import AsOf, Message
from scopefold.contracts.subjects import LEDGER
from scopefold.ledger.log import Log, status
from scopefold.ledger.moment import Moment, NoSuchMoment, no_event
from scopefold.ledger.read import BATCH, read

SCANNED: Final = 100_000
"""An id is looked for among so many of the log's last messages, and among all that concern IdPs and connectors."""
_OF_IDPS: Final = f"{LEDGER}.*.idp.>"


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
