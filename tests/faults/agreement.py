"""Random logs, sealed and cut at random: does the bulk fold say what the fold message by message says?

Each log has everything that a log may hold: tokens that come late or twice, reports and clearings, quarantined
messages, other tenants' events, several IdPs and profiles, IdPs registered anew, connectors that come, move and go.
"""

import asyncio
import tempfile
from pathlib import Path
from random import Random
from typing import Final

from scopefold.consent.reconsent import replay, worklist
from scopefold.ledger.segment_store import Folder
from scopefold.runtime.past import folded
from tests.support.bulk import Log, disagreements, hard_log, ours
from tests.support.sealed import sealed

LONGEST: Final = 400


def campaign(seed: int, logs: int) -> list[str]:
    """The disagreements that so many logs show, each with the seed that shows it again by itself."""
    found = []
    for number in range(seed, seed + logs):
        found += [f"seed {number}: {what}" for what in of_one(number)]
    return found


def of_one(seed: int) -> list[str]:
    """The disagreements over the log of one seed."""
    random = Random(seed)
    log = hard_log(random, random.randint(0, LONGEST))
    cuts = [random.randint(0, len(log)) for _ in range(random.randint(0, 5))]
    slots, many_rounds = random.choice([1, 2, 4]), random.choice([0, 2, 64])
    keeping, bare = random.random() < 0.5, random.random() < 0.5
    found = disagreements(log, cuts, slots=slots, many_rounds=many_rounds, keeping=keeping and not bare, bare=bare)
    with tempfile.TemporaryDirectory() as folder:
        return found + asyncio.run(_from_segments(log, cuts, random, Path(folder)))


async def _from_segments(log: Log, cuts: list[int], random: Random, folder: Path) -> list[str]:
    """Segments that end at the cuts, a tail after them, asked at the end and at some moment before."""
    ends = sorted({*cuts} - {0})
    segments = await sealed(Folder(folder), [log[a:b] for a, b in zip([0, *ends], ends, strict=False)])
    moments: list[int | None] = [random.randint(0, segments.last_seq) for _ in range(2)]
    found = []
    for until in [*moments, None]:
        tail = log[segments.last_seq :] if until is None else ()
        past = await folded(segments, tenant="default", until=until, tail=tail, keep=random.random() < 0.5)
        rows = [row for part in past.worklist.parts() for row in await past.rows(part)]
        if rows != list(worklist(replay(ours(log if until is None else log[:until])))):
            found.append(f"segments up to {ends}: the worklist at {until or 'the end'}")
    return found
