"""Fixtures that many tests share: a real nats-server and a declared, empty log."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from hypothesis import HealthCheck, settings

from scopefold.cli.nats_server import NatsServer
from scopefold.ledger.log import Log, declare

EXPLORED = 1000
"""How many examples of each property `just explore` tries, where the property does not say itself."""
# An example may take long on a busy machine; what is slow is found by measuring, not by a test that now and then fails.
# Before anything lands the same examples are tried each time, and other ones at each run of `just explore`.
at_any_pace = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("landing", at_any_pace, derandomize=True)
settings.register_profile("explore", at_any_pace, max_examples=EXPLORED, print_blob=True)
settings.load_profile("landing")


@pytest.fixture(scope="session")
def shared_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """One nats-server for all tests that leave it as they found it."""
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    # After its last stream was deleted, the server removes what is empty of these, some time after it has answered: now
    # and then between making them for the next stream and using them ("error creating store for stream").
    streams = server.directory / "jetstream" / "jetstream" / "$G" / "streams"
    streams.mkdir(parents=True)
    (streams / "kept").touch()  # what begins with a dot is removed at the start
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server of the test's own, to kill and restart at will."""
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def log(shared_nats: NatsServer) -> AsyncIterator[Log]:
    """An empty log on the shared server."""
    nc = await nats.connect(shared_nats.url)
    try:
        handle = Log(nc)
        for name in [info.config.name for info in await handle.js.streams_info()]:
            assert name is not None
            await handle.js.delete_stream(name)
        await declare(handle)
        yield handle
    finally:
        await nc.close()
