"""One run of a bench: every system is started, then measured in turns, and each figure is the median of its rounds."""

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Final

import uvloop
from msgspec import Struct

from bench.driver import Act, FailedError, Measured, System, measure
from bench.ours import scopefold
from bench.peers.better_auth import better_auth
from bench.peers.oidc_provider import oidc_provider
from bench.peers.satosa import satosa
from bench.report import tell
from bench.started import DRIVING, MEASURED, CannotStartError, on_cpu, start
from scopefold.cli.ports import free_port

PEERS: Final[dict[str, Callable[[Path, str], AbstractContextManager[System]]]] = {
    "oidc-provider": oidc_provider,
    "satosa": satosa,
    "better-auth": better_auth,
}
MOST_SECONDS: Final = 30.0
MOST_ROUNDS: Final = 10


class Load(Struct, frozen=True):
    """One thing to measure: its name, the metric of its rate, and who does it; no workers: the system cannot do it."""

    bench: str
    rate: str
    workers: Callable[[System, str], Sequence[Act]]
    more: dict[str, str] = {}


def run(description: str | None, loads: Sequence[Load]) -> None:
    """Measure as the command line says, and tell."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="oidc-provider", help=f"parted by commas: {', '.join(PEERS)}; or none")
    parser.add_argument("--seconds", type=float, default=6.0, help="of one measurement (default 6)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    wanted = [name for name in asked.peers.split(",") if name not in ("", "none")]
    if unknown := [name for name in wanted if name not in PEERS]:
        sys.exit(f"bench: there is no peer {unknown[0]}; known: {', '.join(PEERS)}")
    seconds, rounds = min(asked.seconds, MOST_SECONDS), min(asked.rounds, MOST_ROUNDS)
    if wanted and not asked.json:
        print("Not like for like: see bench/README.md (durability, events, vault, calls upstream, PKCE, tokens).")
    with tempfile.TemporaryDirectory() as name, ExitStack() as running:
        folder, port = Path(name), free_port()
        idp = f"http://127.0.0.1:{port}"
        with on_cpu(DRIVING):
            argv = [sys.executable, "-m", "bench.stand_in", str(port)]
            running.callback(start("idp", argv, {}, folder, port).stop)
        with on_cpu(MEASURED):
            systems = [running.enter_context(scopefold(_folder(folder, "scopefold"), idp))]
            for peer in wanted:
                try:
                    systems.append(running.enter_context(PEERS[peer](_folder(folder, peer), idp)))
                except CannotStartError as error:
                    print(f"bench: {peer} cannot be measured: {error}", file=sys.stderr)
        with on_cpu(DRIVING), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for load in loads:
                runner.run(_turns(load, systems, idp, rounds, seconds))


def _folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made


async def _turns(load: Load, systems: Sequence[System], idp: str, rounds: int, seconds: float) -> None:
    found: dict[str, list[Measured]] = {}
    for _ in range(rounds):
        for system in systems:
            if workers := load.workers(system, idp):
                try:
                    found.setdefault(system.name, []).append(await measure(system, workers, seconds))
                except FailedError as error:
                    print(f"bench: {load.bench}: {error}", file=sys.stderr)
    for name, rows in found.items():
        for metric, unit, of in (
            (load.rate, "1/s", [one.per_s for one in rows]),
            ("cpu_ms", "ms", [one.cpu_ms for one in rows]),
            ("p50_ms", "ms", [one.p50_ms for one in rows]),
            ("p99_ms", "ms", [one.p99_ms for one in rows]),
        ):
            if of:
                tell(load.bench, metric, statistics.median(of), unit, system=name, **load.more)
        if failed := sum(one.failed for one in rows):
            why = next(one.why for one in rows if one.why)
            print(f"bench: {load.bench}: {name}: {failed} failed, the first: {why}", file=sys.stderr)
