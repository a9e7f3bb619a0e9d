"""A program that serves pages on this machine, for as long as a test needs it."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.support.process import end

START_SECONDS: Final = 60.0


@contextmanager
def serving(command: Sequence[str], directory: Path, address: str, errors: Path, **settings: str) -> Iterator[None]:
    """Run a program in a directory until it answers at its address; ended at the end, by force if it must."""
    environ = {"PATH": os.environ["PATH"], **settings}
    with errors.open("wb") as stream:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert process.poll() is None, errors.read_text()
            try:
                httpx.get(address, timeout=2.0)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, errors.read_text()
                time.sleep(0.02)
        yield
    finally:
        end(process)
