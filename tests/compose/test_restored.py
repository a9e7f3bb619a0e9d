"""A bus of three servers that was restored from a backup is one log to whoever asks, whichever server answers."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from scopefold.cli.connected import connected
from scopefold.cli.failure import Failure
from scopefold.ledger.incarnation import created
from tests.compose.cluster import Cluster, until
from tests.compose.composed import NATS

KEPT: Final = ("LEDGER", "KV_vault")


@contextmanager
def servers(directory: Path) -> Iterator[Cluster]:
    """The three servers alone, with nothing on them."""
    directory.mkdir()
    bus = Cluster(directory)
    try:
        bus.start_servers()
        yield bus
    finally:
        bus.stop()


def test_a_restored_log_is_one_log_whoever_leads_it(tmp_path: Path) -> None:
    with servers(tmp_path / "old") as old:
        old.declare()
        before = [made(old, stream) for stream in KEPT]
        old.scopefold(["backup", "create", str(tmp_path / "backup")])
    with servers(tmp_path / "new") as new:
        new.scopefold(["backup", "restore", str(tmp_path / "backup")])
        for stream, then in zip(KEPT, before, strict=True):
            (now,) = {made_says(new, stream, server) for server in NATS}
            assert then < now, "a restored log is another one"


def made_says(bus: Cluster, stream: str, server: str) -> datetime:
    """When the stream was made, as this server says once it leads."""
    until(f"{server} leads {stream}", lambda: asyncio.run(leads(bus, stream, server)))
    return made(bus, stream)


async def leads(bus: Cluster, stream: str, server: str) -> bool:
    """Does it lead? If another does, that one is asked to leave it to this one."""
    with suppress(Failure):  # while nobody leads, nobody answers
        async with connected(bus.bus("operator")) as log:
            told = (await log.js.stream_info(stream)).cluster
            if told is not None and told.leader == server:
                return True
            wish = json.dumps({"placement": {"preferred": server}}).encode()
            await log.nc.request(f"$JS.API.STREAM.LEADER.STEPDOWN.{stream}", wish, timeout=5)
    return False


def made(bus: Cluster, stream: str) -> datetime:
    """When the server that leads the stream says it was made."""

    async def asked() -> datetime:
        async with connected(bus.bus("operator")) as log:
            return created(await log.js.stream_info(stream))

    return asyncio.run(asked())
