"""Buckets as they were a moment ago: reads are kept in memory until the bus tells of a change.

For the path that every API call of every user goes through. A change at another replica is seen as soon as the bus has
brought the word of it, which takes milliseconds; a change of this process at once. While the connection is away, and
until the word of changes comes again after it, nothing is kept.
"""

import asyncio
from typing import Final, TypeVar, cast

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy

from scopefold.auth.store.buckets import Bucket
from scopefold.runtime.kept import Kept
from scopefold.runtime.logs import logger

MOST: Final = 400_000
"""Entries of a bucket: of 100,000 users, each with up to four. A user's sealed token and data key take about 2 KiB of
memory, and that something is not there hardly any."""
T = TypeVar("T", bound=msgspec.Struct)
Entry = tuple[msgspec.Struct, int] | None
"""None: there is no such entry."""
log = logger(__name__)


class Changes:
    """The word of changes of some buckets, for as long as the process lives."""

    def __init__(self, js: JetStreamContext) -> None:
        self._js = js
        self._listeners: dict[str, Recent] = {}
        self._connection = -1
        self._opening: asyncio.Task[None] | None = None
        self._subscriptions: list[JetStreamContext.PushSubscription] = []

    def recent(self, name: str, bucket: Bucket) -> "Recent":
        """A bucket, kept as it was a moment ago."""
        self._listeners[name] = Recent(bucket, self)
        return self._listeners[name]

    @property
    def come(self) -> bool:
        """Does the word of changes come now? Where not, it is asked for anew."""
        nc = self._js._nc
        if nc.is_connected and self._connection == nc.stats["reconnects"]:
            return True
        if nc.is_connected and (self._opening is None or self._opening.done()):
            self._opening = asyncio.create_task(self.open())
        return False

    async def open(self) -> None:
        """Listen, from now on. What was kept before is forgotten."""
        for listener in self._listeners.values():
            listener.clear()
        connection = self._js._nc.stats["reconnects"]
        try:
            await self.close()
            for name, listener in self._listeners.items():
                self._subscriptions.append(await self._listen(name, listener))
            self._connection = connection
        except (TimeoutError, nats.errors.Error, nats.js.errors.Error, OSError) as error:
            log.warning("the bus does not tell of changes yet: every read asks it", reason=str(error))

    async def close(self) -> None:
        """Listen no more."""
        subscriptions, self._subscriptions = self._subscriptions, []
        for one in subscriptions:
            try:
                await one.unsubscribe()
            except (TimeoutError, nats.errors.Error, nats.js.errors.Error, OSError) as error:
                log.debug("a subscription was gone already", reason=str(error))

    async def _listen(self, name: str, listener: "Recent") -> JetStreamContext.PushSubscription:
        prefix = f"$KV.{name}."

        async def changed(message: Msg) -> None:
            listener.forget(message.subject.removeprefix(prefix))

        config = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, headers_only=True)
        return await self._js.subscribe(
            f"{prefix}>", stream=f"KV_{name}", ordered_consumer=True, config=config, cb=changed, pending_msgs_limit=-1
        )


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
