"""How fast an empty database is folded from the log, beside how fast nats-py alone drains the same log.

just bench rebuild [--events N] [--json]
just bench rebuild --segments [--events N] [--users N] [--json]     from sealed segments instead, in bulk
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from bench import rebuild_segments
from bench.filled_log import fill
from bench.report import tell
from scopefold.auth.store.projection import Projection
from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.subjects import tenant_filter
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import STREAM, Log, declare

ROUNDS = 3
WAIT_SECONDS = 120


async def fold(log: Log, directory: Path) -> None:
    projection = Projection("default")
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        await projection.open(Path(folder) / "projection.db")
        await catch_up(log, None, projection.apply)
        await projection.close()


async def drain_by_pull(js: JetStreamContext, events: int) -> None:
    """The ordinary way to read a stream: a pull consumer without acknowledgements, 500 at a time."""
    subscription = await js.pull_subscribe(
        tenant_filter("default"), stream=STREAM, config=ConsumerConfig(ack_policy=AckPolicy.NONE)
    )
    read = 0
    while read < events:
        read += len(await subscription.fetch(500, timeout=WAIT_SECONDS))
    await subscription.unsubscribe()


async def drain_by_push(js: JetStreamContext, events: int) -> None:
    """The fastest way that nats-py itself has: an ordered push consumer with a callback."""
    read, done = 0, asyncio.Event()

    async def received(_: Msg) -> None:
        nonlocal read
        read += 1
        if read >= events:
            done.set()

    subscription = await js.subscribe(
        tenant_filter("default"), stream=STREAM, ordered_consumer=True, cb=received, pending_msgs_limit=-1,
        pending_bytes_limit=-1,
    )  # fmt: skip
    await asyncio.wait_for(done.wait(), WAIT_SECONDS)
    await subscription.unsubscribe()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, help="default 100,000; with --segments 10,000,000")
    parser.add_argument("--segments", action="store_true")
    parser.add_argument("--users", type=int, default=1_000_000, help="with --segments")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.segments:
        rebuild_segments.run(asked.events or 10_000_000, asked.users)
    else:
        asyncio.run(from_the_bus(asked.events or 100_000))


async def from_the_bus(wanted: int) -> None:
    """Fill a log, and fold it message by message."""
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder) / "nats")
        server.start()
        try:
            nc, plain = await nats.connect(server.url), await nats.connect(server.url)
            log = Log(nc)
            alone = plain.jetstream()  # as nats-py comes, without what the ledger adds
            await declare(log)
            events = await fill(log, wanted // 2, logins=True)
            rates: dict[str, list[float]] = {"fold": [], "drain": [], "drain_push": []}
            for _ in range(ROUNDS):
                for name, act in (
                    ("fold", fold(log, Path(folder))),
                    ("drain", drain_by_pull(alone, events)),
                    ("drain_push", drain_by_push(alone, events)),
                ):
                    start = time.perf_counter()
                    await act
                    rates[name].append(events / (time.perf_counter() - start))
            for name, measured in rates.items():
                tell("rebuild", f"{name}_events_per_s", statistics.median(measured), "events/s", events=events)
            ratio = statistics.median(rates["fold"]) / statistics.median(rates["drain"])
            tell("rebuild", "fold_to_drain", ratio, "ratio", events=events)
            await nc.close()
            await plain.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
