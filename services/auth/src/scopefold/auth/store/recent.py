"""Buckets as they were a moment ago: reads are kept in memory until the bus tells of a change.

For the path that every API call of every user goes through. A change at another replica is seen as soon as the bus has
brought the word of it, which takes milliseconds; a change of this process at once. While the connection is away, and
until the word of changes comes again after it, nothing is kept.
"""

import asyncio
import time
from typing import Final, TypeVar, cast

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from scopefold.auth.store.buckets import Bucket
from scopefold.runtime.kept import Kept
from scopefold.runtime.logs import logger

MOST: Final = 400_000
"""Entries of a bucket: of 100,000 users, each with up to four. A user's sealed token and data key take about 2 KiB of
memory, and that something is not there hardly any."""
HEARTBEAT_SECONDS: Final = 1.0
SILENT_SECONDS: Final = 3.0
"""So old what is kept may be at worst: whoever has heard nothing for so long, though the bus is to say something every
second, may have missed a change."""
AGAIN_SECONDS: Final = 1.0
T = TypeVar("T", bound=msgspec.Struct)
Entry = tuple[msgspec.Struct, int] | None
"""None: there is no such entry."""
log = logger(__name__)
_FAILED = (TimeoutError, nats.errors.Error, nats.js.errors.Error, OSError)


class _Word:
    """The word of changes of one bucket. It is numbered, so that what is missing is missed."""

    def __init__(self, name: str, listener: "Recent") -> None:
        self._prefix = f"$KV.{name}."
        self._listener = listener
        self._number = 0
        self._whole = True
        self._heard_at = time.monotonic()
        self._subscription: Subscription | None = None

    async def begin(self, js: JetStreamContext, stream: str) -> None:
        """Hear of every change from now on."""
        inbox = js._nc.new_inbox()
        self._subscription = await js._nc.subscribe(inbox, cb=self._heard)
        config = ConsumerConfig(
            deliver_subject=inbox,
            filter_subject=f"{self._prefix}>",
            deliver_policy=DeliverPolicy.NEW,
            ack_policy=AckPolicy.NONE,
            max_deliver=1,
            headers_only=True,
            idle_heartbeat=HEARTBEAT_SECONDS,
            num_replicas=1,
            mem_storage=True,
        )
        await js._jsm.add_consumer(stream, config=config)
        self._heard_at = time.monotonic()

    async def end(self) -> None:
        """Hear no more. The bus itself removes a consumer that nobody hears."""
        try:
            if self._subscription is not None:
                await self._subscription.unsubscribe()
        except _FAILED as error:
            log.debug("a subscription was gone already", reason=str(error))

    def comes(self, now: float) -> bool:
        """Is there nothing that it may have missed until a moment ago?"""
        return self._whole and now - self._heard_at < SILENT_SECONDS

    async def _heard(self, message: Msg) -> None:
        if message.headers is not None and "Status" in message.headers:  # a heartbeat, which tells the last number
            self._whole &= int(message.headers.get("Nats-Last-Consumer", "0")) == self._number
        else:
            number = message.metadata.sequence.consumer
            self._whole &= number == self._number + 1
            self._number = number
            self._listener.forget(message.subject.removeprefix(self._prefix))
        self._heard_at = time.monotonic()


class Changes:
    """The word of changes of some buckets, for as long as the process lives."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js
        self._listeners: dict[str, Recent] = {}
        self._connection = -1
        self._opening: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._told = False
        self._closed = False
        self._words: list[_Word] = []

    def recent(self, name: str, bucket: Bucket) -> "Recent":
        """A bucket, kept as it was a moment ago."""
        self._listeners[name] = Recent(bucket, self)
        return self._listeners[name]

    @property
    def come(self) -> bool:
        """Does the word of changes come now? Where not, it is asked for anew."""
        nc, now = self._js._nc, time.monotonic()
        if not nc.is_connected:
            return False
        if self._words and self._connection == nc.stats["reconnects"] and all(one.comes(now) for one in self._words):
            return True
        if not self._closed and now >= self._not_before and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self.open())
        return False

    async def open(self) -> None:
        """Listen, from now on. What was kept before is forgotten."""
        connection, words = self._js._nc.stats["reconnects"], []
        try:
            await self._end()
            for name, listener in self._listeners.items():
                words.append(_Word(name, listener))
                await words[-1].begin(self._js, f"KV_{name}")
        except _FAILED as error:
            for one in words:
                await one.end()
            if not self._told:
                log.warning("the bus does not tell of changes yet: every read asks it", reason=str(error))
            self._told, self._not_before = True, time.monotonic() + AGAIN_SECONDS
            return
        for listener in self._listeners.values():
            listener.clear()  # also what is being read: it may have changed before there was any word of it
        self._words, self._connection, self._told = words, connection, False
        if self._closed:
            await self._end()

    async def close(self) -> None:
        """Listen no more, though who still has these buckets reads there."""
        self._closed = True
        await self._end()

    async def _end(self) -> None:
        words, self._words = self._words, []
        for one in words:
            await one.end()


class Recent(Bucket):
    """One bucket, its latest reads kept. All else is as the bucket's, whose changes it hears of, as of its own."""

    def __init__(self, bucket: Bucket, changes: Changes) -> None:
        super().__init__(bucket._kv, bucket._place, bucket._remake)
        self._changes = changes
        self._kept: Kept[str, tuple[Entry]] = Kept(MOST)
        self._turn = 0
        self.on_change = bucket.on_change = self.forget

    async def get(self, key: str, kind: type[T]) -> tuple[T, int] | None:
        """The entry and its revision, as they were a moment ago. A key always has entries of one kind."""
        kept = self._kept.get(key)
        if kept is not None and self._changes.come:
            return cast("tuple[T, int] | None", kept[0])
        turn = self._turn
        found = await super().get(key, kind)
        if turn == self._turn and self._changes.come:  # a change on the way may be of this very entry
            self._kept.keep(key, (found,))
        return found

    def would_keep(self, key: str) -> bool:
        """Would a read of it ask the bus, and be remembered?"""
        return key not in self._kept and self._changes.come

    def forget(self, key: str) -> None:
        """It changed, or is just being changed."""
        self._turn += 1
        self._kept.forget(key)

    def clear(self) -> None:
        """Everything may have changed."""
        self._turn += 1
        self._kept.clear()
