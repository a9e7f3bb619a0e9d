"""How fast sealed segments become a ready worklist, on one core, now and as of an earlier moment.

Each figure is taken in a process of its own, so that the memory it tells is its own.
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import pyarrow as pa

from bench.filled_columns import sealed
from bench.report import tell
from scopefold.ledger.segment import PARTS
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import open_segments
from scopefold.runtime.past import SUFFIX, folded

PAGE: Final = 50
MOMENTS: Final = 5
MOST_SECONDS: Final = 1800


def run(events: int, users: int) -> None:
    """Make the segments, measure, tell."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = _in_a_process("make", folder, events, users)
        size = {part: sum(file.stat().st_size for file in folder.glob(f"*.{part}.parquet")) for part in PARTS}
        rebuilt = _in_a_process("rebuild", folder, events, users)
        kept = _in_a_process("keep", folder, events, users)
        folds = [file.stat().st_size for file in folder.glob(f"*{SUFFIX}")]
        past = _in_a_process("at", folder, events, users)
    of: dict[str, Any] = {"events": events, "users": users}
    tell("rebuild", "segment_make_s", made["seconds"][0], "s", **of)
    for kind, total in size.items():
        tell("rebuild", f"{kind}_bytes_per_event", total / events, "bytes", **of)
    tell("rebuild", "segment_rebuild_s", rebuilt["seconds"][0], "s", missing=rebuilt["missing"][0], **of)
    tell("rebuild", "segment_rebuild_cpu_s", rebuilt["cpu"][0], "s", **of)
    tell("rebuild", "segment_events_per_s", events / rebuilt["seconds"][0], "events/s", **of)
    tell("rebuild", "rss_mb", rebuilt["rss_mb"], "MB", **of)
    tell("rebuild", "segment_rebuild_keeping_s", kept["seconds"][0], "s", **of)
    tell("rebuild", "fold_mb", max(folds) / 1e6, "MB", folds=len(folds), **of)
    for metric, taken in (("at_s", past["seconds"]), ("at_cpu_s", past["cpu"])):
        tell("rebuild", metric, statistics.median(taken), "s", worst=round(max(taken), 2), **of)
    tell("rebuild", "at_rss_mb", past["rss_mb"], "MB", **of)


def _in_a_process(act: str, folder: Path, events: int, users: int) -> dict[str, Any]:
    argv = [sys.executable, "-m", "bench.rebuild_segments", act, str(folder), str(events), str(users)]
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=MOST_SECONDS, check=True)
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    return found


async def _answered(folder: Path, until: int | None, *, keep: bool = False) -> tuple[float, float, int]:
    """Seconds, and of CPU, from nothing to a count of the worklist and its first page; and the count."""
    start, cpu = time.perf_counter(), time.process_time()
    segments = await open_segments(Folder(folder))
    past = await folded(segments, tenant="default", until=until, keep=keep)
    missing = past.worklist.count("missing")
    await past.rows(past.worklist.page(limit=PAGE))
    return time.perf_counter() - start, time.process_time() - cpu, missing


async def _measured(act: str, folder: Path, events: int, users: int) -> dict[str, Any]:
    start, random = time.perf_counter(), Random(1)
    if act == "make":
        await sealed(folder, events, users)
        return {"seconds": [time.perf_counter() - start], "cpu": [time.process_time()]}
    moments = [random.randint(1, events) for _ in range(MOMENTS)] if act == "at" else [None]
    found = [await _answered(folder, moment, keep=act == "keep") for moment in moments]
    return dict(zip(("seconds", "cpu", "missing"), zip(*found, strict=True), strict=True))


def main() -> None:
    """One measurement, for `run`."""
    act, folder, events, users = sys.argv[1:]
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    found = asyncio.run(_measured(act, Path(folder), int(events), int(users)))
    found["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
