"""Which keys a bucket holds: told whole however often and by however many it is asked."""

import asyncio
from datetime import UTC, datetime

import nats

from scopefold.auth.store import buckets, declared
from scopefold.auth.store.records import InitialAccess
from scopefold.cli.nats_server import NatsServer

TIMES = 1200
"""More than the server lets a stream have consumers."""


async def test_a_list_is_whole_each_time_and_leaves_nothing_behind_at_the_bus(own_nats: NatsServer) -> None:
    nc = await nats.connect(own_nats.url)
    js = nc.jetstream()
    await declared.declare(js)
    bucket = (await buckets.connect(js)).dynamic
    some = InitialAccess(datetime.now(UTC), 1)
    assert [] == await bucket.keys()
    revisions = [await bucket.create(f"client.{n}", some) for n in range(5)]
    await bucket.create("initial.x", some)
    for _ in range(TIMES // 20):
        lists = await asyncio.gather(*(bucket.keys("client.*") for _ in range(20)))
        assert [[f"client.{n}" for n in range(5)]] * 20 == lists
    assert [] == await js.consumers_info(f"KV_{declared.DYNAMIC}")
    await bucket.take("client.3", revisions[3])
    found = [await bucket.get(key, InitialAccess) for key in await bucket.keys()]
    assert 5 == len([one for one in found if one is not None])
    await nc.close()
