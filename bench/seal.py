"""How fast a log is sealed into segments, and how large they are.

    just bench seal [--events N] [--bus N] [--json]

Half of the events are logins, half tokens, each pair of a user who was not seen before: the mix in which a log has the
most users for its events. Ids, fingerprints and users are random, as the services make them. First from decoded events
in memory, then whole, from a log on a bus.
"""

import argparse
import asyncio
import base64
import resource
import tempfile
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import nats
from msgspec.structs import replace

from bench.filled_log import NOW, fill, idp_events, token_stored
from bench.report import tell
from scopefold.cli.main import collect_seldom
from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.codec import decode, encode
from scopefold.contracts.columns import row_of
from scopefold.contracts.events import Event, UserLoggedIn
from scopefold.contracts.recorded import Recorded
from scopefold.ledger.log import Log, declare
from scopefold.ledger.segment_file import SegmentWriter, Users, Written
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import seal_log

PAGE = 1000


def made(events: int) -> Iterator[tuple[str, Event]]:
    """Who published, and what."""
    random = Random(20260115)
    yield from idp_events()
    for number in range(events // 2):
        asked = NOW - timedelta(microseconds=random.randrange(500, 5000))
        token = replace(
            token_stored(number),
            user="u_" + base64.urlsafe_b64encode(random.randbytes(17)).decode()[:22],
            fingerprint=base64.urlsafe_b64encode(random.randbytes(16)).decode().rstrip("="),
            access_expires_at=asked + timedelta(hours=1),
            idle_expires_at=asked + timedelta(days=90),
        )
        yield "auth", UserLoggedIn(user=token.user, idp="atlassian", client="playground")
        yield "auth", token


def pages(events: int) -> Iterator[list[Recorded]]:
    """Pages of a log as reading gives them: every event decoded anew, so that nothing is shared between two."""
    random, at, page = Random(20260116), NOW, list[Recorded]()
    for seq, (publisher, event) in enumerate(made(events), start=1):
        if seq > events:
            break
        at += timedelta(microseconds=random.randrange(2000))
        event_id = str(uuid.UUID(bytes=random.randbytes(16)))
        page.append(Recorded(seq, at, "default", event_id, publisher, decode(encode(event))))
        if len(page) == PAGE:
            yield page
            page = []
    yield page


def seal_decoded(events: int) -> Written:
    """Seal one segment; only what sealing takes is timed, not the making of the events."""
    writer = SegmentWriter(Users())
    spent = cpu = 0.0
    for page in pages(events):
        began, began_cpu = time.perf_counter(), time.process_time()
        writer.add([row_of(one, "default") for one in page])
        spent, cpu = spent + time.perf_counter() - began, cpu + time.process_time() - began_cpu
    began, began_cpu = time.perf_counter(), time.process_time()
    written = writer.close()
    spent, cpu = spent + time.perf_counter() - began, cpu + time.process_time() - began_cpu
    tell("seal", "seal_s", spent, "s", events=events, cpu_s=round(cpu, 2))
    return written


async def seal_from_bus(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = NatsServer(Path(folder) / "nats")
        server.start()
        try:
            nc = await nats.connect(server.url)
            log = Log(nc)
            await declare(log)
            count = await fill(log, events // 2, logins=True)
            began, began_cpu = time.perf_counter(), time.process_time()
            await seal_log(log, Folder(Path(folder) / "segments"), tenant="default")
            cpu = round(time.process_time() - began_cpu, 2)
            tell("seal", "seal_from_bus_s", time.perf_counter() - began, "s", events=count, cpu_s=cpu)
            await nc.close()
        finally:
            server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--bus", type=int, default=100_000, help="Events of the log on the bus.")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    collect_seldom()  # as the command itself does
    written = seal_decoded(asked.events)
    facts, users, ids = (len(one) / asked.events for one in (written.facts, written.users, written.ids))
    tell("seal", "bytes_per_event", facts + users, "bytes", facts=round(facts, 2), users=round(users, 2))
    tell("seal", "sidecar_bytes_per_event", ids, "bytes")
    tell("seal", "rss_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, "MB")
    asyncio.run(seal_from_bus(asked.bus))


if __name__ == "__main__":
    main()
