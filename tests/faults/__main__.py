"""Kill every kind of process with SIGKILL, again and again under load, and check that nothing was lost.

just faults [--seed N] [--kills 50] [--process nats|auth|provisioner|sandbox|all] [--json]
just faults --renewals 500 [--seed N] [--json]     replicas race to renew upstream tokens, and die while they do: rounds
                                                   dealt to four modes and 2 to 4 replicas, and deaths at each place
just faults --agreement 1000 [--seed N]            does the bulk fold agree with the fold one by one, on so many logs?

A seed gives the same schedule and the same commands again: a seed that fails is the reproduction.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.faults import agreement, renewals
from tests.faults.campaign import Report, run
from tests.faults.renewals import Raced
from tests.faults.schedule import PROCESSES

SHOWN: Final = 20
HEADS = ("process", "kills", "under way", "acknowledged", "sent again", "lost", "duplicates", "worst recovery")


def table(report: Report) -> str:
    """The report for people."""
    rows = [
        (
            *(one.process, one.kills, one.under_way, one.acknowledged, one.sent_again, one.lost, one.duplicates),
            f"{one.worst_recovery_ms:,} ms",
        )
        for one in report.lines
    ]
    lines = [HEADS, *rows]
    widths = [max(len(str(line[column])) for line in lines) for column in range(len(HEADS))]
    told = ["  ".join(str(cell).rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    told.append(f"seed {report.seed}: {report.events} events in the log, {report.seconds} s")
    for violation in report.violations[:SHOWN]:
        told.append(f"VIOLATED {violation.oracle} ({violation.process}): {violation.what}")
    if len(report.violations) > SHOWN:
        told.append(f"... and {len(report.violations) - SHOWN} more")
    return "\n".join(told)


def race(seed: int, rounds: int, *, as_json: bool) -> int:
    """Let replicas race to renew. Gives 0 where every cell holds what it must."""
    cells, held, began = renewals.plan(rounds), True, time.monotonic()
    total = sum(cell.rounds for cell in cells)
    print(f"seed {seed}: {total} rounds in {len(cells)} cells", file=sys.stderr, flush=True)
    heads = (*Raced.__struct_fields__, "holds")
    if not as_json:
        print("  ".join(head.replace("_", " ").rjust(len(head)) for head in ("mode".rjust(16), *heads[1:])), flush=True)
    with tempfile.TemporaryDirectory(prefix="scopefold-renewals-") as directory:
        for one in renewals.campaign(seed, cells, Path(directory)):
            held &= one.holds
            row = [str(getattr(one, name)).rjust(len(name)) for name in Raced.__struct_fields__[1:]]
            line = "  ".join([one.mode.rjust(16), *row, "yes" if one.holds else "NO"])
            print(msgspec.json.encode(one).decode() if as_json else line, flush=True)
    print(f"seed {seed}: {total} rounds, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0 if held else 1


def agree(seed: int, logs: int) -> int:
    """Fold random logs in both ways. Gives 0 where they agree on all of them."""
    print(f"seed {seed}: {logs} logs", file=sys.stderr, flush=True)
    found = agreement.campaign(seed, logs)
    for what in found[:SHOWN]:
        print(f"VIOLATED {what}")
    print(f"seeds {seed} to {seed + logs - 1}: {len(found)} disagreements")
    return 1 if found else 0


def main() -> int:
    """Run one campaign. Gives 0 where every oracle holds, 1 where one does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, help="the schedule and the commands; default: a new one")
    parser.add_argument("--kills", type=int, default=50, help="how often each process is killed")
    parser.add_argument("--process", choices=(*PROCESSES, "all"), default="all", help="which process is killed")
    parser.add_argument("--renewals", type=int, default=0, metavar="ROUNDS", help="race renewals in place of kills")
    parser.add_argument("--agreement", type=int, default=0, metavar="LOGS", help="compare folds in place of kills")
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else time.time_ns() % 1_000_000
    if asked.renewals:
        return race(seed, asked.renewals, as_json=asked.json)
    if asked.agreement:
        return agree(seed, asked.agreement)
    processes = PROCESSES if asked.process == "all" else (asked.process,)
    print(f"seed {seed}: {asked.kills} kills each of {', '.join(processes)}", file=sys.stderr, flush=True)
    directory = Path(tempfile.mkdtemp(prefix="scopefold-faults-"))
    report = run(seed, processes, asked.kills, directory)
    print(msgspec.json.encode(report).decode() if asked.json else table(report))
    if report.violations:
        again = f"python -m tests.faults --seed {seed} --kills {asked.kills} --process {asked.process}"
        print(f"seed {seed} fails; again with: {again}\nits logs and journal are in {directory}", file=sys.stderr)
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
