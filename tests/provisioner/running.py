"""A real provisioner process on a free port, and the log's events as tests put and see them."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from scopefold.contracts.events import Event, IdpRegistered
from scopefold.contracts.recorded import Recorded, examine
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from scopefold.ledger.read import read

ADMIN: Final = "an-admin-token-of-the-tests"
DEADLINE_SECONDS: Final = 15.0
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
ATLASSIAN: Final = IdpRegistered(idp="atlassian", profile="atlassian", client_id="app-1")
SECOND_ATLASSIAN: Final = IdpRegistered(idp="atlassian-2", profile="atlassian", client_id="app-2")
BITBUCKET: Final = IdpRegistered(idp="bitbucket", profile="bitbucket", client_id="app-3")


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**settings: str) -> dict[str, str]:
    variables = {"ADMIN_TOKEN": ADMIN, **{name.upper(): value for name, value in settings.items()}}
    return {"PATH": os.environ["PATH"], **{f"SCOPEFOLD_{name}": value for name, value in variables.items()}}


@contextmanager
def provisioner(directory: Path, **settings: str) -> Iterator[Service]:
    """The process, up to its first answer; ended at the end, by force if it must."""
    port = free_port()
    errors = directory / f"provisioner-{port}.stderr"
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "scopefold.provisioner"],
            env=environment(port=str(port), **settings),
            stderr=stream,
        )
    service = Service(process, f"http://127.0.0.1:{port}", errors)
    try:
        wait_for_health(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_health(service: Service) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        assert service.process.poll() is None, service.said()
        try:
            if httpx.get(f"{service.url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise AssertionError(f"the provisioner did not answer: {service.said()}")


def run_to_its_end(**settings: str) -> subprocess.CompletedProcess[str]:
    """A process that is expected to refuse to start."""
    return subprocess.run(
        [sys.executable, "-m", "scopefold.provisioner"],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


async def register(log: Log, *idps: IdpRegistered) -> None:
    """What the auth service does when an operator registers IdPs."""
    await put(log, idps, by="auth", ids="registered")


async def put(log: Log, events: Sequence[Event], *, by: str, ids: str) -> None:
    new = [NewEvent(f"{ids}-{n:04}", event) for n, event in enumerate(events)]
    await append(log, new, tenant="default", publisher=by, now=NOW)


async def provisioner_events(log: Log) -> list[Recorded]:
    """What the provisioner has said in the log."""
    found = [examine(message) async for page in read(log) for message in page]
    return [one for one in found if isinstance(one, Recorded) and one.publisher == "provisioner"]


def asking_for(connector: str, idp: str = "atlassian") -> Mapping[str, str]:
    return {"connector": connector, "idp": idp, "auth_mode": "idp_passthrough"}
