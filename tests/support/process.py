"""A service in a process of its own on a free port, as an operator starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from scopefold.cli.ports import free_port

ADMIN: Final = "an-admin-token-of-the-tests"
DEADLINE_SECONDS: Final = 60.0


class Service:
    """A running process: its address, and what it has written to standard error."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, errors: Path) -> None:
        self.process = process
        self.url = url
        self._errors = errors

    def client(self, token: str = ADMIN) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers={"authorization": f"Bearer {token}"}, timeout=20)

    def said(self) -> str:
        return self._errors.read_text()


def environment(**settings: str) -> dict[str, str]:
    """The environment of a service: nothing but its settings, `nats_url` as `SCOPEFOLD_NATS_URL`."""
    variables = {"ADMIN_TOKEN": ADMIN, **{name.upper(): value for name, value in settings.items()}}
    return {"PATH": os.environ["PATH"], **{f"SCOPEFOLD_{name}": value for name, value in variables.items()}}


@contextmanager
def running(service: str, directory: Path, **settings: str) -> Iterator[Service]:
    """`python -m scopefold.{service}`, up to its first answer; ended at the end, by force if it must."""
    port = settings.pop("port", None) or str(free_port())
    errors = directory / f"{service}-{port}.stderr"
    with errors.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", f"scopefold.{service}"], env=environment(port=port, **settings), stderr=stream
        )
    started = Service(process, f"http://127.0.0.1:{port}", errors)
    try:
        _wait_for_health(started)
        yield started
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if it must."""
    process.terminate()
    try:
        process.wait(DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for_health(service: Service) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        assert service.process.poll() is None, service.said()
        try:
            if httpx.get(f"{service.url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)  # polling until it listens
    raise AssertionError(f"no answer from {service.url}: {service.said()}")


def run_to_its_end(service: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """A process that is expected to refuse to start."""
    return subprocess.run(
        [sys.executable, "-m", f"scopefold.{service}"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
