"""Processes of a measurement: started on a CPU of their own, counted by the CPU time they take, ended by their ids.

What is measured, with its store, has the first CPU; the driver and the IdP upstream have the second. So a rate is one
core's, and the CPU time a request is what to compare where other things run on the machine.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from scopefold.cli.child import Child

START_SECONDS: Final = 30.0
MEASURED: Final = 0
DRIVING: Final = 1


class CannotStartError(RuntimeError):
    """A system cannot be measured here; the message is one line that says why."""


@contextlib.contextmanager
def on_cpu(number: int) -> Iterator[None]:
    """What is started here runs on this CPU, from its first moment on."""
    if sys.platform != "linux" or (before := os.sched_getaffinity(0)) < {MEASURED, DRIVING}:
        yield
        return
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(name: str, argv: Sequence[str], environ: Mapping[str, str], folder: Path, port: int) -> Child:
    """Start a process and wait until it listens. Raises `CannotStartError`."""
    child = Child(name, argv, {"PATH": os.environ["PATH"], **environ}, folder / f"{name}.log")
    child.start()
    try:
        wait_for(child, port)
    except CannotStartError:
        child.stop()
        raise
    return child


def wait_for(child: Child, port: int) -> None:
    """Return once the child listens. Raises `CannotStartError`."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if child.process is None or child.process.poll() is not None:
            raise CannotStartError(f"{child.name} ended at its start: {child.last_words()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise CannotStartError(f"{child.name} did not listen within {START_SECONDS:.0f} s: {child.last_words()}")


def run_to_end(argv: Sequence[str], folder: Path, seconds: float) -> None:
    """Run a command that prepares something. Raises `CannotStartError`."""
    try:
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotStartError(f"{argv[0]}: {type(error).__name__}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotStartError(f"{Path(argv[0]).name} failed: {said[-1] if said else done.returncode}")


def cpu_seconds(roots: Sequence[int]) -> float:
    """CPU time of these processes and all below them so far, in user and kernel mode."""
    spent = 0.0
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(root)
            for one in (process, *process.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    spent += sum(one.cpu_times()[:2])
    return spent
