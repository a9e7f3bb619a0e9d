"""Runs the `scopefold` command as people do: as a process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import psutil

from scopefold.cli import endpoints
from scopefold.cli.child import tether
from scopefold.cli.endpoints import Endpoints
from scopefold.contracts.commands import Problem

SECONDS = 60.0
ANY_PORTS = ("--auth-port", "0", "--provisioner-port", "0", "--sandbox-port", "0", "--nats-port", "0")


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with these SCOPEFOLD_ variables and no others."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SCOPEFOLD_")} | dict(given)


def scopefold(
    *arguments: str, env: Mapping[str, str] = {}, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    line = [sys.executable, "-m", "scopefold.cli", *arguments]
    return subprocess.run(
        line, env=environment(env), cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False
    )


def told(done: "subprocess.CompletedProcess[str]") -> tuple[int, int]:
    """The exit code, and how many lines went to standard error."""
    return done.returncode, len(done.stderr.splitlines())


def problem_of(done: "subprocess.CompletedProcess[str]") -> Problem:
    """The problem that a command with --json told."""
    return msgspec.json.decode(done.stderr, type=Problem)


def until(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Look until it holds; fail where it has not within the time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


class Up:
    """A running `scopefold up`."""

    def __init__(self, data: Path, *arguments: str, env: Mapping[str, str] = {}) -> None:
        self.data = data
        self.output = data.with_name(data.name + ".out")
        with self.output.open("wb") as output:
            line = [sys.executable, "-m", "scopefold.cli", "up", "--data", str(data), *ANY_PORTS, *arguments]
            self.process = subprocess.Popen(
                line,
                env=environment(env),
                stdout=output,
                stderr=output,
                preexec_fn=tether(),
            )

    @property
    def said(self) -> str:
        """Everything that it has printed."""
        return self.output.read_text()

    def ready(self) -> Endpoints:
        """Wait until it says that it is up; where everything is."""
        until("`scopefold up` is up", lambda: "Scopefold is up" in self.said or self.process.poll() is not None)
        assert self.process.poll() is None, self.said
        return self.endpoints()

    def endpoints(self) -> Endpoints:
        """Where everything is now."""
        found = endpoints.read(self.data)
        assert found is not None, self.said
        return found

    def stop(self) -> int:
        """End it with SIGTERM; its exit code."""
        self.process.terminate()
        return self.process.wait(SECONDS)


def processes_of(data: Path) -> list[str]:
    """The processes that work on a data directory, by command line or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            text = " ".join([*process.cmdline(), *process.environ().values()])
        except psutil.Error:
            continue
        if str(data) in text and process.pid != os.getpid():
            found.append(f"{process.pid}: {' '.join(process.cmdline())}")
    return found
