"""What is in the buckets, as a test looks at it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats

from scopefold.auth.store import buckets
from scopefold.auth.store.buckets import Buckets
from tests.auth.world import World


@asynccontextmanager
async def buckets_of(world: World) -> AsyncIterator[Buckets]:
    """The buckets of the world's bus, over a connection of the test's own."""
    nc = await nats.connect(world.bus.url)
    try:
        yield await buckets.connect(nc.jetstream())
    finally:
        await nc.close()
