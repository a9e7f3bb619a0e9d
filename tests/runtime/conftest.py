"""The small service, running."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

from scopefold.cli.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 15.0


class Served:
    """The process of the small service, and a client of it."""

    def __init__(self, port: int, log: IO[bytes]) -> None:
        command = [sys.executable, "-m", "tests.runtime.served", str(port)]
        self.log = log
        self.port = port
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                self.http.get("/things")
            except httpx.TransportError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(0.05)
                    pytest.fail(f"the service ended at its start: {self.logged()}")
            else:
                return
        pytest.fail(f"the service did not answer within {START_SECONDS:.0f} s: {self.logged()}")

    def logged(self) -> str:
        return Path(self.log.name).read_text()

    def stop(self) -> int:
        """End it as an operator would. Gives its exit code."""
        self.http.close()
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            raise


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The small service, answering."""
    with (tmp_path_factory.mktemp("served") / "log").open("wb") as log:
        service = Served(free_port(), log)
        try:
            service.wait_until_ready()
            yield service
        finally:
            service.stop()
