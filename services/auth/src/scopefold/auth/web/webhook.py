"""Tells the operator's webhook who enters the worklist and who leaves it: each replica is ready to, one does.

Where it stands is one entry of a bucket, `state`. Who sends has first written there, by compare and set, which events
it tells of and until when it has the turn; who finds that another broke off sends the very same message again. So every
move is told at least once, and a receiver knows by the id what it has had.
"""

import asyncio
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.leases import is_over
from scopefold.auth.core.webhook import (
    MOST_USERS,
    Message,
    body_of,
    delay_seconds,
    message_id,
    message_of,
    next_part,
)
from scopefold.auth.store.buckets import Bucket, Taken
from scopefold.auth.store.database import StoreAway
from scopefold.auth.web.service import Service, now
from scopefold.auth.web.webhook_sender import Sender
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger

STATE: Final = "state"
DEAD: Final = "dead"
TURN: Final = timedelta(seconds=30)
"""Longer than one attempt takes; it is prolonged before each."""
GIVE_BACK_SECONDS: Final = 2.0
MOVE_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 5.0
MOST_AT_ONCE: Final = 1000
log = logger(__name__)


class Sending(Struct, frozen=True, kw_only=True):
    """All events up to `told` are told; up to `through` they are being told, by `holder`, who has the turn `until`."""

    told: int
    through: int
    resync: bool = False
    holder: str = ""
    until: datetime


class Dead(Struct, frozen=True, kw_only=True):
    """A message that could not be delivered."""

    id: str
    body: bytes
    attempts: int
    error: str
    at: datetime


async def one_pass(service: Service, sender: Sender) -> bool:
    """Tell of what is not told yet; False where another replica has the turn."""
    bucket = service.bus.buckets.webhook
    for _ in range(MOST_AT_ONCE):
        found = await bucket.get(STATE, Sending)
        if found is None:
            return True  # somebody removed it: `begin` makes it at the next start
        state, revision = found
        watched = timedelta(seconds=sender.turns.look(STATE, state, asyncio.get_running_loop().time()))
        if state.holder not in ("", sender.me) and not is_over(state.until, TURN, now(), watched):
            return False
        try:
            if not await _one_message(service, sender, state, revision):
                return True
        except Taken:
            return False
    return True


async def _one_message(service: Service, sender: Sender, state: Sending, revision: int) -> bool:
    """Tell of the next events; False where there are none. Raises `Taken` where another has the turn now."""
    projection = service.projection
    if state.through <= state.told:
        await projection.moves.forget(state.told)
        if sender.known_since > state.told:
            state = replace(state, through=sender.known_since, resync=True)
        elif moves := await projection.moves.after(state.told, until=None, limit=2 * MOST_USERS):
            state = replace(state, through=next_part(moves), resync=False)
        else:
            return False
    elif not await projection.reached(state.through, AGAIN_SECONDS):
        return False  # what another began to tell of is not folded here yet
    turn = _Turn(service.bus.buckets.webhook, replace(state, holder=sender.me), revision)
    try:
        await turn.hold()
        moves = (
            [] if state.resync else await projection.moves.after(state.told, until=state.through, limit=MOST_AT_ONCE)
        )
        message = message_of(moves, after=state.told, through=state.through, at=now())
        await _delivered(service, sender, message, turn)
        await turn.hold(told=state.through, holder="")
    except asyncio.CancelledError:  # an orderly stop: the others need not wait for the end of this turn
        await _give_back(service.bus.buckets.webhook, sender.me)
        raise
    return True


async def _give_back(bucket: Bucket, me: str) -> None:
    """End a turn in the middle. What stands there is read anew: a write of it may have been under way."""
    with suppress(Taken, LogUnavailable, TimeoutError):
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            found = await bucket.get(STATE, Sending)
            if found is not None and found[0].holder == me:
                await bucket.update(STATE, replace(found[0], holder="", until=now()), revision=found[1])


class _Turn:
    """The turn to send, which lasts for as long as it is held anew in time."""

    def __init__(self, bucket: Bucket, state: Sending, revision: int) -> None:
        self._bucket, self._state, self._revision = bucket, state, revision

    async def hold(self, **changed: Any) -> None:
        """Keep it, or end it with what was told. Raises `Taken` where it is lost."""
        state = replace(self._state, until=now() + TURN, **changed)
        self._revision = await self._bucket.update(STATE, state, revision=self._revision)

    async def wait(self, seconds: float) -> None:
        """Wait without losing it. Raises `Taken`."""
        deadline = now() + timedelta(seconds=seconds)
        while (left := (deadline - now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, TURN.total_seconds() / 3))
            await self.hold()


async def _delivered(service: Service, sender: Sender, message: Message, turn: _Turn) -> None:
    """Send a message, again and again, then lay it aside. Raises `Taken`."""
    checkpoint = service.projection.checkpoint
    created = checkpoint.created.isoformat() if checkpoint else ""
    body, identifier = body_of(message), message_id(service.settings.tenant, created, message)
    error: str | None = ""
    for attempt in range(1, sender.attempts + 1):
        if (error := await sender.send(identifier, body, now())) is None:
            return
        log.warning("the webhook did not take a message", id=identifier, attempt=attempt, reason=error)
        if attempt < sender.attempts:
            await turn.wait(delay_seconds(attempt, random.random()))  # noqa: S311 (it only spreads them)
    dead = Dead(id=identifier, body=body, attempts=sender.attempts, error=error or "", at=now())
    await service.bus.buckets.webhook.put(f"{DEAD}.{identifier}", dead)
    log.error("a message of the webhook is laid aside", id=identifier, what_to_do="scopefold webhook dead")


async def begin(service: Service, bucket: Bucket, last: int) -> None:
    """Keep what must be told, if there is a webhook: of all events after `last` where there was none before.

    Called before anything more is folded. Raises `LogUnavailable`.
    """
    if service.webhook is None:
        await service.projection.moves.keep(None, 0)
        return
    if (found := await bucket.get(STATE, Sending)) is None:
        made = Sending(told=last, through=last, until=now())
        try:
            await bucket.create(STATE, made)
        except Taken:
            found = await bucket.get(STATE, Sending)
    told = found[0].told if found else last
    checkpoint = service.projection.checkpoint
    since = await service.projection.moves.keep(told, checkpoint.seq if checkpoint else 0)
    service.webhook.known_since = max(told, since or 0)


async def keep_telling(service: Service) -> None:
    """Tell the webhook of what happens, for ever; at once where there is none."""
    seen = 0
    sender = service.webhook
    while sender is not None:
        await service.projection.reached(seen + 1, MOVE_SECONDS)
        seen = max(seen, service.projection.checkpoint.seq if service.projection.checkpoint else 0)
        if service.waiting_for is not None or service.broken is not None:
            await asyncio.sleep(AGAIN_SECONDS / 10)
            continue
        try:
            if not await one_pass(service, sender):
                await asyncio.sleep(AGAIN_SECONDS)
                seen = 0  # look again, though nothing may have been folded meanwhile
        except (LogUnavailable, StoreAway) as error:
            log.warning("the webhook is not told now", reason=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
            seen = 0
        except Exception as error:  # who stopped without a word would never tell anybody anything again
            log.error("the webhook cannot be told", error=type(error).__name__, reason=str(error))
            await asyncio.sleep(AGAIN_SECONDS)
            seen = 0
