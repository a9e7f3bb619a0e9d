"""What compose.yaml describes, as processes on loopback ports: its commands, its settings, its configuration files.

A container's name becomes 127.0.0.1 and a port; its volume becomes a directory. Nothing else is changed.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from scopefold.cli.child import Child
from scopefold.cli.nats_server import executable
from scopefold.cli.ports import free_port
from scopefold.cli.reach import Reach
from tests.compose.composed import AUTH, NATS, NATS_CONF, bus_commands, composed, environment, secret_line, services

SECONDS: Final = 30.0


class NotSo(AssertionError):
    """Something did not become so in time."""


def until(what: str, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Look until it holds. Raises `NotSo`."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise NotSo(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.1)  # another process works on it; there is nothing to wait on from outside


def answers(address: str) -> bool:
    """Whether an address answers 200."""
    try:
        return httpx.get(address, timeout=5.0).status_code == 200
    except httpx.HTTPError:
        return False


class Cluster:
    """The services of compose.yaml. `front` is an address where nobody listens: a test chooses the replica."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        names = [f"{name}:{port}" for name in NATS for port in (4222, 6222, 8222)]
        names += ["auth-1:8080", "auth-2:8080", "provisioner:8081", "front:8080", "sandbox:8090"]
        self._ports = {name: free_port() for name in names}
        self._children: dict[str, Child] = {}
        subprocess.run(["sh", "-euc", secret_line()], cwd=directory, check=True, timeout=10)
        (directory / "log").mkdir()
        self._run(bus_commands()[0], environment("credentials"))
        mounted = directory / "mounted"
        mounted.mkdir()
        for secret, where in composed()["secrets"].items():
            (mounted / secret).symlink_to(directory / where["file"])

    def address(self, name: str) -> str:
        """Where a service listens, given as name and port: `auth-1:8080`."""
        return f"127.0.0.1:{self._ports[name]}"

    @property
    def issuer(self) -> str:
        """The one address of both replicas."""
        return f"http://{self.address('front:8080')}"

    @property
    def replicas(self) -> list[str]:
        """The addresses of the replicas themselves."""
        return [f"http://{self.address(f'{name}:8080')}" for name in AUTH]

    def bus(self, identity: str) -> Reach:
        """The bus, with the credentials of `identity`."""
        url = self._here(environment("scopefold")["SCOPEFOLD_NATS_URL"])
        return Reach(url, self.directory / f"mounted/{identity}.nk")

    def start(self) -> None:
        """Start everything in the order that compose.yaml asks for, each once it may. Raises `NotSo`."""
        self.start_servers()
        self.declare()
        for name in (*AUTH, "provisioner", "sandbox"):
            self._start(name, [sys.executable, *services()[name]["command"][1:]], self._settings(name))
        self.wait_ready()

    def start_servers(self) -> None:
        """Start the three servers of the bus. Raises `NotSo`."""
        for name in NATS:
            self.start_nats(name)
        for name in NATS:
            self.wait_nats(name)

    def declare(self) -> None:
        """Declare what the bus keeps, and once more, as at every later `up`. Raises `NotSo`."""
        for arguments in (services()["bootstrap"]["command"][1:],) * 2:
            assert "declared" in (said := self.scopefold(arguments)) or "already" in said

    def start_nats(self, name: str) -> None:
        """Start a nats server, or start it again on what it has stored."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        conf = home / "nats.conf"
        if not (home / "nats").exists():
            (home / "nats").symlink_to(self.directory / "secrets/bus/server")
        conf.write_text(self._nats_conf(name, home))
        _, _, there, *rest = services()[name]["command"]
        assert "/etc/nats.conf" == there
        self._start(name, [executable(), "--config", str(conf), *map(self._here, rest)], environment(name))

    def read_again(self, name: str) -> None:
        """Let a nats server read its configuration again, with the signal that the guide sends."""
        process = self._children[name].process
        assert process is not None
        process.send_signal(signal.SIGHUP)

    def wait_nats(self, name: str) -> None:
        """Wait until the health check of compose.yaml passes for a nats server. Raises `NotSo`."""
        until(f"{name} is healthy", lambda: answers(f"http://{self.address(f'{name}:8222')}/healthz"))

    def wait_ready(self) -> None:
        """Wait until the health checks of all services pass. Raises `NotSo`."""
        ready = [f"{replica}/readyz" for replica in self.replicas]
        ready += [f"http://{self.address('provisioner:8081')}/readyz", f"http://{self.address('sandbox:8090')}/healthz"]
        for address in ready:
            until(f"{address} answers", lambda address=address: answers(address))  # type: ignore[misc]

    def kill(self, name: str) -> None:
        """End a service as a crash would."""
        self._children[name].kill()

    def stop(self) -> None:
        """End everything, who uses the bus first."""
        for child in reversed(self._children.values()):
            child.stop()

    def scopefold(self, arguments: list[str], given: Mapping[str, str] = {}) -> str:
        """What the command prints in its container. Raises `NotSo` where it fails."""
        told = self._settings("scopefold") | {"SCOPEFOLD_AUTH_URL": self.replicas[1]}
        return self._run(arguments, told | dict(given))

    def credentials(self, arguments: list[str]) -> None:
        """Run a verb of `scopefold bus` in the container that keeps the keys. Raises `NotSo` where it fails."""
        self._run(["bus", *arguments, "--directory", "/credentials"], environment("credentials"))

    def _run(self, arguments: list[str], told: Mapping[str, str]) -> str:
        line = [sys.executable, "-m", "scopefold.cli", *map(self._here, arguments)]
        environ = _bare() | dict(told)
        done = subprocess.run(line, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            raise NotSo(f"scopefold {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def _start(self, name: str, line: list[str], settings: Mapping[str, str]) -> None:
        child = Child(name, line, _bare() | dict(settings), self.directory / f"{name}.log")
        child.start()
        self._children[name] = child

    def _settings(self, name: str) -> dict[str, str]:
        """A service's environment as compose.yaml gives it, for this machine."""
        home = self.directory / name
        home.mkdir(exist_ok=True)
        own = {"SCOPEFOLD_HOST": "127.0.0.1", "SCOPEFOLD_DATA_DIR": str(home)}
        found = {variable: own.get(variable, self._here(value)) for variable, value in environment(name).items()}
        if "SCOPEFOLD_PORT" in found:
            found["SCOPEFOLD_PORT"] = str(self._ports[f"{name}:{found['SCOPEFOLD_PORT']}"])
        return found

    def _here(self, text: str) -> str:
        """A text of compose.yaml or the guide with the addresses and files of this machine."""
        published = {"127.0.0.1:8080": "front:8080", "127.0.0.1:8090": "sandbox:8090"}
        for outside, inside in published.items():
            text = text.replace(outside, inside)
        for name in self._ports:
            text = text.replace(name, self.address(name))
        places = {"/run/secrets/": "mounted/", "/credentials": "secrets/bus", "/log/": "log/"}
        for inside, outside in places.items():
            text = text.replace(inside, f"{self.directory}/{outside}")
        return text

    def _nats_conf(self, name: str, home: Path) -> str:
        """The file that compose.yaml mounts, with this server's own addresses and store."""
        text = NATS_CONF.read_text()
        for there, here in (
            ('"0.0.0.0:4222"', f'"{self.address(f"{name}:4222")}"'),
            ('"127.0.0.1:8222"', f'"{self.address(f"{name}:8222")}"'),
            ('"0.0.0.0:6222"', f'"{self.address(f"{name}:6222")}"'),
            ('"/data/jetstream"', f'"{home}/jetstream"'),
        ):
            assert 1 == text.count(there), there
            text = text.replace(there, here)
        return text


def _bare() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


@contextmanager
def running(directory: Path) -> Iterator[Cluster]:
    """The whole, up and healthy; ended at the end."""
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
