"""Append events: once, in one piece, and only where the writer's knowledge is still true."""

import asyncio
import json
import secrets
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Final

import nats.errors
import nats.js.errors
from msgspec import Struct

from scopefold.contracts.cloudevents import headers_of
from scopefold.contracts.codec import encode
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES
from scopefold.contracts.subjects import subject_of
from scopefold.ledger.log import CALL_SECONDS, STREAM, Log, LogUnavailable
from scopefold.ledger.read import read

MAX_BATCH: Final = 1000
TRIES: Final = 4
_WRONG_LAST_SEQUENCE: Final = 10071
_DUPLICATE_IN_BATCH: Final = 10201
_TOO_MANY_BATCHES: Final = frozenset({10176, 10177, 10210, 10211})
_UNDER_WAY: Final = frozenset({10158, 10164})
"""A cluster has this very message, or another on a subject that is expected to rest, in hand and not yet stored."""
_NO_ANSWER: Final = -1
_ID_IS_KNOWN: Final = -2
"""Ours, not the server's: it has a message of this id, at the place that is told."""
_TRY_AGAIN: Final = _TOO_MANY_BATCHES | _UNDER_WAY | {_ID_IS_KNOWN}
_ONE_BY_ONE: Final = _TOO_MANY_BATCHES | {_DUPLICATE_IN_BATCH}
_NO_ROOM: Final = frozenset({10077, 10023, 10047})


class NewEvent(Struct, frozen=True):
    """An event to append, under the id that makes appending it twice the same as once."""

    event_id: str
    event: Event


class Expected(Struct, frozen=True):
    """The append holds only if the last message on subjects that match `filter` is still `seq` (0: none)."""

    filter: str
    seq: int


class Conflict(RuntimeError):
    """Somebody else wrote first: read again, decide again."""


class LogFull(RuntimeError):
    """The log refuses new events because its room is used up. Nothing was lost; an operator must give it more."""


class AppendRefused(RuntimeError):
    """The log refused the events and will refuse them again; the message says why."""


async def append(
    log: Log,
    events: Sequence[NewEvent],
    *,
    tenant: str,
    publisher: str,
    now: datetime,
    expected: Expected | None = None,
) -> None:
    """Append all the events in their order: in one piece, unless one is there already or others leave no room for it.

    Returns once the log has them on disk. Safe to repeat with the same ids; an event whose id somebody else took for
    another event has a new one in the log (ADR 0059), so who appends must be allowed to read. Raises `Conflict` where
    `expected` no longer holds, `LogFull`, `AppendRefused`, and `LogUnavailable` where the outcome is not known:
    repeated, it stores what is not there yet.
    """
    if not 1 <= len(events) <= MAX_BATCH:
        raise ValueError(f"an append takes 1 to {MAX_BATCH} events, not {len(events)}")
    messages = [_message(new, tenant, publisher, now) for new in events]
    if expected is not None:
        messages[0].headers["Nats-Expected-Last-Subject-Sequence"] = str(expected.seq)
        messages[0].headers["Nats-Expected-Last-Subject-Sequence-Subject"] = expected.filter
    code, reason = 0, ""
    for attempt in range(TRIES):
        if attempt:
            await asyncio.sleep(0.1 * 2**attempt * (0.5 + secrets.randbelow(100) / 100))
        try:
            code, reason = await _publish(log, messages)
        except _UNSURE as error:
            code, reason = _NO_ANSWER, str(error) or type(error).__name__
            continue
        if code == _ID_IS_KNOWN:
            again = partial(append, log, tenant=tenant, publisher=publisher, now=now, expected=expected)
            code = await _known(log, events[0], int(reason), messages[0].subject, again)
        if code == 0:
            return
        if code == _WRONG_LAST_SEQUENCE:
            assert expected is not None
            stored = await _is_stored(log, expected, events[0].event_id, told=reason)
            if stored:
                return
            if stored is False:
                raise Conflict(f"{expected.filter} has moved past {expected.seq}")
        elif code not in _TRY_AGAIN:
            break
    if code in _ONE_BY_ONE and len(events) > 1 and expected is None:
        await _append_one_by_one(log, events, tenant=tenant, publisher=publisher, now=now)
        return
    raise _refusal(code, reason)


def _refusal(code: int, reason: str) -> Exception:
    """What the server's last answer to an append means."""
    if code in (_NO_ANSWER, _WRONG_LAST_SEQUENCE) or code in _TRY_AGAIN:
        return LogUnavailable(f"the log did not confirm the append: {reason}")
    if code in _NO_ROOM:
        return LogFull(f"the log has no room left: {reason}")
    return AppendRefused(f"the log refused the append: {reason} ({code})")


_UNSURE = (nats.errors.Error, asyncio.TimeoutError, OSError)


class _Outgoing(Struct):
    subject: str
    headers: dict[str, str]
    payload: bytes


def _message(new: NewEvent, tenant: str, publisher: str, now: datetime) -> _Outgoing:
    payload = encode(new.event)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise AppendRefused(f"the event is {len(payload)} bytes long; the log takes {MAX_PAYLOAD_BYTES}")
    headers = headers_of(new.event, event_id=new.event_id, publisher=publisher, occurred_at=now)
    return _Outgoing(subject_of(new.event, tenant), dict(headers), payload)


async def _publish(log: Log, messages: Sequence[_Outgoing]) -> tuple[int, str]:
    """Publish one message, or several as one atomic batch (ADR-50). Gives the server's error code, 0 for none, and what
    it says; of one message, too, that its id is known. In a batch that is an error of the server's.
    """
    last = messages[-1]
    if len(messages) == 1:
        headers: Mapping[str, str] = last.headers
    else:
        batch = secrets.token_urlsafe(16)
        for place, message in enumerate(messages[:-1], start=1):
            numbered = {**message.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(place)}
            await log.nc.publish(message.subject, message.payload, headers=numbered)
        headers = {
            **last.headers,
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(len(messages)),
            "Nats-Batch-Commit": "1",
        }
    stated = {**headers, "Nats-Expected-Stream": STREAM}
    reply = await log.nc.request(last.subject, last.payload, timeout=CALL_SECONDS, headers=stated)
    answer = json.loads(reply.data)
    if error := answer.get("error"):
        return int(error["err_code"]), str(error["description"])
    return (_ID_IS_KNOWN, str(answer["seq"])) if answer.get("duplicate") else (0, "")


async def _append_one_by_one(
    log: Log, events: Sequence[NewEvent], *, tenant: str, publisher: str, now: datetime
) -> None:
    """A batch is refused whole when any of its ids is stored already, and while others keep all the room for batches:
    each event alone is stored or known.
    """
    for new in events:
        await append(log, [new], tenant=tenant, publisher=publisher, now=now)


async def _known(
    log: Log, new: NewEvent, seq: int, subject: str, again: Callable[[Sequence[NewEvent]], Awaitable[None]]
) -> int:
    """What is to be done where the message at this place has the id of an event: 0, nothing, once it is stored.

    An id says nothing of whose it is: the server compares ids alone, and whoever may publish anything chooses them. Who
    may publish an event is told by its subject. An event whose id is another's is appended under one that nobody knows.
    """
    async for batch in read(log, after=seq - 1, until=seq):
        if batch[0].subject != subject:
            await again([NewEvent(str(uuid.uuid4()), new.event)])
        return 0
    return _ID_IS_KNOWN  # a replica answers that is behind


async def _is_stored(log: Log, expected: Expected, event_id: str, *, told: str) -> bool | None:
    """Was this very append stored before, its answer lost? The server looks at the sequence first, and at the id then.

    It told which message is the last. Until that one can be read, nothing is known (None), and so it is where what was
    told cannot be: another replica may be asked, which is behind, or the server failed to look. Once it is read, the
    answer is final: under the same expectation nothing is stored after it.
    """
    number = told.rpartition(" ")[2]
    last = int(number) if number.isdecimal() else 0
    seen = expected.seq
    async for batch in read(log, after=expected.seq, until=last, subject=expected.filter, batch=100):
        if any(message.headers.get("Nats-Msg-Id") == event_id for message in batch):
            return True
        seen = batch[-1].seq
    return False if seen >= last > expected.seq else None
