"""A real nats-server with the configuration that `scopefold bus` writes, and clients of it that hear every refusal."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import nats
from nats.aio.client import Client

from scopefold.cli.bootstrap import declare_all
from scopefold.cli.bus_config import mapped
from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.bus_grants import EXTRAS
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.reach import Reach
from scopefold.ledger.credentials import Credentials

DEADLINE_SECONDS: Final = 30.0
NOBODYS: Final = "nobody.may"
GATEWAY: Final = "gateway"
"""A service that was given nothing besides reporting."""
READER: Final = "reader"
COMMANDER: Final = "commander"
EXCHANGER: Final = "exchanger"
EVERYTHING: Final = "everything"


class Person:
    """A connection under one name, and what the server has refused it."""

    def __init__(self, nc: Client, refusals: list[str]) -> None:
        self.nc = nc
        self.refusals = refusals

    async def may_publish(self, subjects: Iterable[str], payload: bytes = b"?") -> set[str]:
        """Publish to each; those that were not refused."""
        tried = set(subjects)
        for subject in (*tried, NOBODYS):
            await self.nc.publish(subject, payload, reply=self.nc.new_inbox())
        refused = await self._refused("publish to")
        return {subject for subject in tried if not refused & {subject.lower(), mapped(subject).lower()}}

    async def may_subscribe(self, subjects: Iterable[str], queue: str = "") -> set[str]:
        """Subscribe to each, as one of a queue group if given; those that were not refused."""
        tried = set(subjects)
        for subject in (*tried, NOBODYS):
            await self.nc.subscribe(subject, queue=queue)
        refused = await self._refused("subscription to")
        return {subject for subject in tried if subject.lower() not in refused}

    async def _refused(self, what: str) -> set[str]:
        """The subjects that were refused. Refusals come in order: once that of nobody's subject is here, all are."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not any(f'{what} "{NOBODYS}"' in one for one in self.refusals):
            assert time.monotonic() < deadline, f"no word from the server: {self.refusals}"
            await asyncio.sleep(0.01)
        found = {text for one in self.refusals for text in re.findall(rf'violation for {what} "([^"]+)"', one)}
        self.refusals.clear()
        return found


class Guarded:
    """The bus and its directory."""

    def __init__(self, directory: Path, *exchangers: str) -> None:
        self.directory = BusDirectory(directory / "bus")
        self.directory.make("default")
        self.directory.add(GATEWAY)
        self.directory.add(READER, ["log"])
        self.directory.add(COMMANDER, ["commands"])
        self.directory.add(EXCHANGER, ["exchange"])
        self.directory.add(EVERYTHING, EXTRAS)
        for name in exchangers:
            self.directory.add(name, ["exchange"])
        self.server = NatsServer(directory / "nats", accounts=self.directory.accounts)

    def reach(self, name: str) -> Reach:
        return Reach(self.server.url, self.directory.seed(name))

    @asynccontextmanager
    async def as_(self, name: str) -> AsyncIterator[Person]:
        """A client with this service's key."""
        refusals: list[str] = []
        async with connection(self.server.url, self.directory.seed(name), refusals) as nc:
            yield Person(nc, refusals)


@asynccontextmanager
async def connection(url: str, seed: Path, met: list[str]) -> AsyncIterator[Client]:
    """A client that notes what the server complains of, and does not come back once it was thrown out."""

    async def note(error: Exception) -> None:
        met.append(str(error))

    mine = Credentials.of(seed)
    nc = await nats.connect(
        url,
        nkeys_seed=str(seed),
        inbox_prefix=mine.inbox_prefix,
        error_cb=note,
        allow_reconnect=False,
        connect_timeout=5,
        max_reconnect_attempts=1,
    )
    try:
        yield nc
    finally:
        await nc.close()


@contextmanager
def guarded(directory: Path, *exchangers: str) -> Iterator[Guarded]:
    """The bus, started. `exchangers` are services that exchange tokens, besides those of every test."""
    bus = Guarded(directory, *exchangers)
    bus.server.start()
    try:
        yield bus
    finally:
        bus.server.stop()


async def declared(bus: Guarded) -> None:
    """The log and the buckets, as the operator declares them."""
    await declare_all(bus.reach("operator"), replicas=1)


async def connects(url: str, **how: Any) -> bool:
    """Whether the bus lets somebody in."""

    async def silent(_: Exception) -> None:
        pass

    nc = Client()
    try:
        await nc.connect(
            url, connect_timeout=5, allow_reconnect=False, max_reconnect_attempts=1, error_cb=silent, **how
        )
    except (nats.errors.Error, OSError):
        return False
    finally:
        await nc.close()
    return True
