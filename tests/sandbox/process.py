"""A sandbox in a process of its own, as an operator starts it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 20.0
STOP_SECONDS = 10.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(log: Path, issuer: str) -> Iterator[str]:
    """Start `python -m scopefold.sandbox` and give its base address."""
    port = free_port()
    environ = {**os.environ, "SCOPEFOLD_PORT": str(port), "SCOPEFOLD_ISSUER": issuer}
    with log.open("wb") as stderr:
        process = subprocess.Popen([sys.executable, "-m", "scopefold.sandbox"], env=environ, stderr=stderr)
    try:
        _wait(process, f"http://127.0.0.1:{port}", log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{address}/healthz").json() == {"status": "ok"}:
                return
        except httpx.TransportError:
            time.sleep(0.05)  # polling until it listens
    raise AssertionError(f"the sandbox did not listen within {START_SECONDS} s: {log.read_text()}")
