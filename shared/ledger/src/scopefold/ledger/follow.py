"""Follow the log from one's own checkpoint, and stop rather than guess when the log is not what it was."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from scopefold.contracts.recorded import Message, Quarantined, Recorded, examine
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import BATCH, read

POLL_SECONDS: Final = 2.0
LOOK_AGAIN_SECONDS: Final = 0.01
TOGETHER_SECONDS: Final = 0.05
LIVE_BATCH: Final = 32
"""Messages that are applied at once while others ask the reader: nobody waits longer than for one batch, some 5 ms."""
SHORTER_CHECKS: Final = 10
SHORTER_PAUSE_SECONDS: Final = 0.5
GENESIS: Final = hashlib.sha256(b"scopefold ledger").hexdigest()


class Checkpoint(Struct, frozen=True):
    """How far a reader has come, in which log, and the running hash of all that it has read."""

    created: datetime
    seq: int
    running_hash: str


class LogReplaced(RuntimeError):
    """The log is another one, or shorter, than the one this reader has been following."""


Apply = Callable[[Sequence[Recorded | Quarantined], Checkpoint], Awaitable[None]]


def chain(running_hash: str, messages: Sequence[Message]) -> str:
    """The running hash after these messages: over sequence, subject, message id and payload."""
    link = bytes.fromhex(running_hash)
    sha256 = hashlib.sha256
    for message in messages:
        head = f"{message.seq}\n{message.subject}\n{message.headers.get('Nats-Msg-Id', '')}\n"
        link = sha256(link + head.encode() + message.payload).digest()
    return link.hex()


async def begin(log: Log, checkpoint: Checkpoint | None) -> Checkpoint:
    """Where to go on from: the checkpoint, or the start of the log. Raises `LogReplaced`, `LogUnavailable`."""
    now = await status(log)
    if checkpoint is None:
        return Checkpoint(now.created, 0, GENESIS)
    if now.created != checkpoint.created:
        raise LogReplaced(f"this reader followed the log created at {checkpoint.created}; this one is of {now.created}")
    for _ in range(SHORTER_CHECKS):
        if now.last_seq >= checkpoint.seq:
            return checkpoint
        await asyncio.sleep(SHORTER_PAUSE_SECONDS)  # a leader that was just elected may not know its own end yet
        now = await status(log)
    raise LogReplaced(f"this reader has read up to {checkpoint.seq}; the log now ends at {now.last_seq}")


async def catch_up(
    log: Log, checkpoint: Checkpoint | None, apply: Apply, *, until: int | None = None, batch: int = BATCH
) -> Checkpoint:
    """Read and apply everything up to the log's present end, or up to a sequence; the new checkpoint.

    `apply` must save the checkpoint in the same transaction as its effect. Raises `LogReplaced`, `LogGap`,
    `LogUnavailable`, and whatever `apply` raises.
    """
    reached = await begin(log, checkpoint)
    async for messages in read(log, after=reached.seq, until=until, batch=batch):
        reached = Checkpoint(reached.created, messages[-1].seq, chain(reached.running_hash, messages))
        await apply([examine(message) for message in messages], reached)
    return reached


async def follow(
    log: Log, checkpoint: Checkpoint | None, apply: Apply, wake: asyncio.Event, caught_up: Callable[[], None]
) -> None:
    """Apply everything, now and for ever. `wake` says that there may be more; without it, look every 2 seconds.

    Calls `caught_up` each time it stands at the log's end. Up to the first time it reads in large batches, for nobody
    can be answered yet; from then on in small ones. Ends only by an exception, as `catch_up`, or by cancellation.
    """
    reached, pause, clock = checkpoint, POLL_SECONDS, asyncio.get_running_loop().time
    batch = BATCH
    while True:
        begun = clock()
        wake.clear()
        _end_if_cancelled()
        reached = await catch_up(log, reached, apply, batch=batch)
        batch = LIVE_BATCH
        caught_up()
        try:
            async with asyncio.timeout(pause):
                await wake.wait()
        except TimeoutError:
            pause = min(2 * pause, POLL_SECONDS)
        else:
            # In a cluster the announcement comes before the event can be read: look again soon, then ever later.
            pause = LOOK_AGAIN_SECONDS
            # What comes close together is read together: the first at once, what follows it a moment later.
            await asyncio.sleep(max(0.0, begun + TOGETHER_SECONDS - clock()))


def _end_if_cancelled() -> None:
    """Raises `CancelledError` where this task was cancelled and lives on.

    The bus's client waits with `asyncio.wait_for`, which loses a cancellation that comes in the moment of the answer
    (Python 3.11, bpo-37658): the end of a loop that never rests for long would be lost with it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
