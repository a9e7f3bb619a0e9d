"""Read the log in bulk, in order, by JetStream's batched direct get (ADR-31).

No consumer is created on the server: a reader is nothing but the sequence it has reached.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Final

import nats.errors
from nats.aio.msg import Msg

from scopefold.contracts.recorded import Message
from scopefold.ledger.log import CALL_SECONDS, STREAM, Log, LogUnavailable

BATCH: Final = 1000
LOOKS: Final = 20
"""So often is looked, while an answer is waited for, whether it can still come."""
_Page = tuple[list[Message], str, int]
"""Messages, the status that ended them, and how many are still to come."""


class LogGap(RuntimeError):
    """A sequence is missing from a log that never deletes: its storage is damaged."""


async def read(
    log: Log,
    *,
    after: int = 0,
    until: int | None = None,
    subject: str | None = None,
    batch: int = BATCH,
    stream: str = STREAM,
) -> AsyncIterator[list[Message]]:
    """The messages after a sequence, in order, in batches, to the end that the log has when it is reached.

    `until` is the last sequence wanted; `subject` a filter with wildcards; `stream` another stream, to be read alike.
    Raises `LogUnavailable` where the bus does not answer, `LogGap` where a sequence is missing (never with a filter).
    """
    pages: asyncio.Queue[_Page] = asyncio.Queue(maxsize=2)
    page: list[Message] = []

    async def receive(msg: Msg) -> None:
        headers = msg.headers or {}
        if "Status" in headers:
            await pages.put((page.copy(), headers["Status"], int(headers.get("Nats-Num-Pending", "0"))))
            page.clear()
        else:
            page.append(_message(msg))

    async def ask(after: int) -> None:
        wanted = batch if until is None else min(batch, until - after)
        request = {"seq": after + 1, "batch": wanted} | ({"next_by_subj": subject} if subject else {})
        await log.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)

    if until is not None and after >= until:
        return
    inbox = log.nc.new_inbox()
    try:
        subscription = await log.nc.subscribe(inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        try:
            await ask(after)
            more = True
            while more:
                messages, status, pending = await _next(log, pages)
                if status not in ("204", "404"):
                    raise LogUnavailable(f"the log refused to be read: status {status}")
                if not messages:
                    return
                if subject is None:
                    _check_no_gap(messages, after)
                after = messages[-1].seq
                more = pending > 0 and (until is None or after < until)
                if more:
                    await ask(after)  # the server sends the next page while this one is worked on
                yield messages
        finally:
            if not log.nc.is_closed:
                await subscription.unsubscribe()
    except (TimeoutError, nats.errors.Error, OSError) as error:
        raise LogUnavailable(f"the log could not be read: {error!r}") from None


async def _next(log: Log, pages: asyncio.Queue[_Page]) -> _Page:
    """The page that was asked for. Once the connection is another one, it does not come any more."""
    connection = log.nc.stats["reconnects"]
    for _ in range(LOOKS):
        with suppress(TimeoutError):
            async with asyncio.timeout(CALL_SECONDS / LOOKS):
                return await pages.get()
        if log.nc.is_closed or log.nc.stats["reconnects"] != connection:
            raise LogUnavailable("the log could not be read: the connection was lost")
    raise LogUnavailable(f"the log could not be read: no answer within {CALL_SECONDS:g} seconds")


def _check_no_gap(messages: list[Message], after: int) -> None:
    if messages[-1].seq - after == len(messages) and messages[0].seq == after + 1:
        return
    expected = after + 1
    for message in messages:
        if message.seq != expected:
            raise LogGap(f"sequence {expected} is missing from the log; the next one is {message.seq}")
        expected += 1


def _message(msg: Msg) -> Message:
    headers = msg.headers or {}
    return Message(
        seq=int(headers["Nats-Sequence"]),
        at=_instant(headers["Nats-Time-Stamp"]),
        subject=headers["Nats-Subject"],
        headers=headers,
        payload=msg.data,
    )


def _instant(text: str) -> datetime:
    """The server's time, which has nanoseconds, to the microsecond. Cut, not rounded: order is kept."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
