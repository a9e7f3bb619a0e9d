"""What a provisioned connector, a count and a page of the worklist cost, at 10,000 and at 1,000,000 users.

    just bench fold [--users N ...] [--json]

The log is real, on a real nats-server; the auth process is the real one, and folds it from the start. Then the same
database is opened here, and each act is timed by itself.
"""

import argparse
import asyncio
import base64
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import get_args

import httpx
import nats
import psutil

from bench.filled_log import GRANT_SETS, NOW, SCOPES, fill, provisioned
from bench.report import median_ms, tell
from scopefold.auth.store import declared
from scopefold.auth.store.listing import page
from scopefold.auth.store.projection import Projection
from scopefold.cli.nats_server import NatsServer
from scopefold.consent.chosen import Chosen, Order, Place
from scopefold.contracts.recorded import Recorded
from scopefold.ledger.follow import Checkpoint
from scopefold.ledger.log import Log, declare

READY_SECONDS = 900
ROUNDS = 21


def start_auth(nats_url: str, folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "SCOPEFOLD_NATS_URL": nats_url,
        "SCOPEFOLD_DATA_DIR": str(folder),
        "SCOPEFOLD_PORT": str(port),
        "SCOPEFOLD_ADMIN_TOKEN": "bench-admin-token-of-no-worth",
        "SCOPEFOLD_KEK": base64.urlsafe_b64encode(os.urandom(32)).decode(),
        "SCOPEFOLD_LOG_LEVEL": "ERROR",
    }
    return subprocess.Popen([sys.executable, "-m", "scopefold.auth"], env=environment)


def wait_ready(port: int) -> float:
    """Seconds until the auth process has folded the whole log."""
    start = time.perf_counter()
    while time.perf_counter() - start < READY_SECONDS:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=2).status_code == 200:
                return time.perf_counter() - start
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise TimeoutError(f"auth was not ready after {READY_SECONDS} s")


async def provision(projection: Projection, number: int) -> None:
    """Apply one `ConnectorProvisioned` that changes what is needed, so that every grant set is judged anew."""
    assert projection.checkpoint is not None
    before = projection.checkpoint
    event = provisioned("acme.measured", (SCOPES[number % len(SCOPES)], "read:me"), version=str(number))
    at = NOW + timedelta(seconds=number)
    recorded = Recorded(before.seq + 1, at, "default", f"measured-{number:05}", "provisioner", event)
    await projection.apply([recorded], Checkpoint(before.created, before.seq + 1, before.running_hash))


async def turn_pages(projection: Projection, order: Order) -> float:
    """The median of the first pages in an order, in milliseconds."""
    place: Place | None = None

    async def turn(_: int) -> None:
        nonlocal place
        place = (await page(projection, Chosen(), order, after=place, limit=100)).next

    return await median_ms(ROUNDS, turn)


async def measure(users: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = NatsServer(folder / "nats")
        server.start()
        try:
            nc = await nats.connect(server.url)
            log = Log(nc)
            await declare(log)
            await declared.declare(log.js)
            events = await fill(log, users, logins=False)
            await nc.close()
            port = server.port + 1
            auth = start_auth(server.url, folder, port)
            try:
                seconds = wait_ready(port)
                resident = psutil.Process(auth.pid).memory_info().rss / 1e6
            finally:
                auth.terminate()
                auth.wait(30)
        finally:
            server.stop()
        tell("fold", "rebuild_s", seconds, "s", users=users, events=events)
        tell("fold", "rss_mb", resident, "MB", users=users)
        projection = Projection("default")
        await projection.open(folder / "projection.db")
        tell("fold", "provision_ms", await median_ms(ROUNDS, lambda n: provision(projection, n)), "ms", users=users)
        listed = projection.count("missing")

        async def count(_: int) -> None:
            projection.count("missing", "atlassian")

        tell("fold", "count_ms", await median_ms(ROUNDS, count), "ms", users=users, counted=listed)
        for order in get_args(Order):
            taken = await turn_pages(projection, order)
            tell("fold", "page_ms", taken, "ms", users=users, rows=100, grant_sets=GRANT_SETS, order=order)
        await projection.close()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--json", action="store_true")
    for users in parser.parse_args().users:
        await measure(users)


if __name__ == "__main__":
    asyncio.run(main())
