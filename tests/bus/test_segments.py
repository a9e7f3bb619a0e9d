"""Segments in the bus's own object store: the operator writes them, the analyst reads them, and nobody else does."""

import asyncio
import itertools
import os
from random import Random

import pytest

from scopefold.cli.bus_grants import AUTH, PROVISIONER
from scopefold.cli.connected import connected
from scopefold.cli.reach import ANALYST, OPERATOR
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.segment import SegmentFault
from scopefold.ledger.segment_store import CHUNKS_AT_ONCE, OnBus
from tests.bus.guarded import EVERYTHING, Guarded
from tests.cli.test_segments import called, run
from tests.support.logs import START, random_log

SEAL = "000000000001-000000000002.seal.json"


async def filled(bus: Guarded) -> None:
    """Every event by who may publish it; what any service may, by auth."""
    once = {one.event_id: one for one in random_log(Random(3), 200)}.values()
    for publisher, some in itertools.groupby(once, lambda one: one.publisher):
        name = publisher if publisher in {AUTH, PROVISIONER} else AUTH
        async with connected(bus.reach(name)) as log:
            new = [NewEvent(one.event_id, one.event) for one in some]
            await append(log, new, tenant="default", publisher=name, now=START)


async def test_J05_the_operator_seals_into_it_and_the_analyst_lists_and_asks_but_cannot_write(own_bus: Guarded) -> None:
    await filled(own_bus)
    place, keys = own_bus.server.url, ("--nats-credentials", str(own_bus.directory.seed(OPERATOR).parent))
    assert "Sealed 1 to 80" in await run("log", "seal", "--to", place, "--upto", "80", "--nats-url", place, *keys)
    assert "Sealed 81 to " in await run("log", "seal", "--to", place, "--nats-url", place, *keys)

    mine = ("--nats-credentials", str(own_bus.directory.seed(ANALYST)))
    assert 3 == len((await run("log", "segments", place, *mine)).splitlines())
    assert "consent again" in await run("reconsent", "count", "--segments", place, *mine)
    from_bus = await run("log", "sql", "SELECT * FROM events ORDER BY seq", "--json", "--nats-url", place, *mine)
    assert from_bus == await run(
        "log", "sql", "SELECT * FROM events ORDER BY seq", "--json", "--segments", place, *mine
    )

    async with connected(own_bus.reach(ANALYST)) as log:
        with pytest.raises(OSError, match="may this credential write there"):
            await (await OnBus.open(log)).put(SEAL, b"{}")
    code, _, said = await asyncio.to_thread(called, ("log", "seal", "--to", place, "--nats-url", place, *mine))
    assert (0, "") == (code, said), "with nothing new to seal nothing is written"
    async with connected(own_bus.reach(OPERATOR)) as log:
        assert SEAL not in await (await OnBus.open(log)).seals()


async def test_J05_no_service_reaches_it(bus: Guarded) -> None:
    """All at once, since each waits for an answer that does not come."""

    async def one(name: str) -> None:
        async with connected(bus.reach(name)) as log:
            with pytest.raises(OSError, match="may this credential use it"):
                await OnBus.open(log)

    await asyncio.gather(*map(one, (AUTH, PROVISIONER, EVERYTHING)))


async def test_where_nothing_was_sealed_yet_the_analyst_is_told_so_and_makes_nothing(own_bus: Guarded) -> None:
    async with connected(own_bus.reach(ANALYST)) as log:
        assert [] == await (await OnBus.open(log)).seals()
    async with connected(own_bus.reach(OPERATOR)) as log:
        assert "OBJ_SEGMENTS" not in [one.config.name for one in await log.js.streams_info()]


async def test_a_file_of_many_parts_comes_back_as_it_was_and_the_last_of_a_name_counts(own_bus: Guarded) -> None:
    """More chunks than are asked for at once."""
    many, empty = os.urandom(CHUNKS_AT_ONCE * 2**17 + 1), b""
    async with connected(own_bus.reach(OPERATOR)) as log:
        store = await OnBus.open(log)
        for content in (b"before", many):
            await store.put(SEAL, content)
        await store.put("empty", empty)
    async with connected(own_bus.reach(ANALYST)) as log:
        store = await OnBus.open(log)
        assert ([SEAL], True, empty) == (await store.seals(), many == await store.get(SEAL), await store.get("empty"))
    async with connected(own_bus.reach(OPERATOR)) as log:
        await log.js.purge_stream("OBJ_SEGMENTS", seq=20)  # the first chunks, as of a stream that has lost some
        with pytest.raises(SegmentFault, match=r"of its \d+ bytes are there"):
            await (await OnBus.open(log)).get(SEAL)
