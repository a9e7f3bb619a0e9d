"""All of Scopefold on this machine: the bus and the services, started in order, watched, stopped in order."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import httpx
import msgspec
from msgspec import Struct

from scopefold.auth.settings import Settings
from scopefold.cli import endpoints
from scopefold.cli.bootstrap import declare_all
from scopefold.cli.bus_grants import OURS
from scopefold.cli.child import Child, Supervised
from scopefold.cli.data_directory import TENANT, DataDirectory
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.failure import USAGE, refused, usage
from scopefold.cli.nats_server import NatsDidNotStart, NatsServer
from scopefold.cli.ports import HOST, free_port
from scopefold.cli.reach import OPERATOR, Reach
from scopefold.cli.supervise import manner, watch
from scopefold.runtime.serve import PortTaken, check_port
from scopefold.runtime.settings import PREFIX
from scopefold.runtime.trusted import trusted

READY_SECONDS: Final = 45.0
POLL_SECONDS: Final = 0.05


class Plan(Struct, frozen=True, kw_only=True):
    """What to start, and where. Port 0 is any free one. `manifests` is a directory with connectors of one's own."""

    data: Path
    sandbox: bool
    manifests: Path | None = None
    auth_port: int = 8080
    provisioner_port: int = 8081
    sandbox_port: int = 8090
    nats_port: int = 4222


class Stack:
    """A running Scopefold. Made by `running`."""

    def __init__(self, plan: Plan, directory: DataDirectory) -> None:
        self.directory = directory
        ports = chosen_ports(plan)
        self.nats = NatsServer(directory.nats, ports["nats"], directory.bus.accounts)
        self._urls = {name: f"http://{HOST}:{port}" for name, port in ports.items() if name != "nats"}
        self._ports = ports
        self._manifests = plan.manifests
        self.services: dict[str, Child] = {}

    @property
    def endpoints(self) -> Endpoints:
        """Where everything is."""
        children: list[Supervised] = [self.nats, *self.services.values()]
        return Endpoints(
            auth=self._urls["auth"],
            provisioner=self._urls["provisioner"],
            sandbox=self._urls.get("sandbox"),
            nats=self.nats.url,
            nats_credentials=str(self.directory.bus.path),
            admin_token_file=str(self.directory.admin_token),
            pids={child.name: child.process.pid for child in children if child.process is not None},
        )

    def start(self) -> None:
        """Start everything and wait until it is ready. Raises `Failure` where a part does not start."""
        try:
            self.nats.start()
        except NatsDidNotStart as error:
            raise refused("The bus did not start", str(error)) from None
        asyncio.run(declare_all(Reach(self.nats.url, self.directory.bus.seed(OPERATOR)), replicas=1))
        for name in self._urls:
            self.services[name] = self._child(name)
            self.services[name].start()
        deadline = time.monotonic() + READY_SECONDS
        for name in self.services:
            self.wait_ready(name, deadline - time.monotonic())
        self.publish()

    def publish(self) -> None:
        """Write down where everything is."""
        endpoints.write(self.directory.path, self.endpoints)

    def wait_ready(self, name: str, seconds: float = READY_SECONDS) -> None:
        """Return once a service is ready. Raises `Failure` where it ended or is not ready in time."""
        child = self.services[name]
        deadline = time.monotonic() + seconds
        url = self._urls[name] + ("/healthz" if name == "sandbox" else "/readyz")
        while time.monotonic() < deadline:
            assert child.process is not None
            if (code := child.process.poll()) is not None:
                tell = usage if code == USAGE else refused
                raise tell(f"{name} {manner(code)} at its start", f"{child.last_words()} (see {child.log})")
            try:
                if httpx.get(url, timeout=2.0, verify=trusted()).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(POLL_SECONDS)
        raise refused(f"{name} was not ready in time", f"{url} has not answered 200; see {child.log}")

    def watch(self, say: Callable[[str], None]) -> NoReturn:
        """Keep everything running until KeyboardInterrupt. Raises `Failure` where a part keeps ending."""
        watch([self.nats, *self.services.values()], say, self.publish)

    def rebuild_auth(self) -> None:
        """Kill auth, delete its database and start it again: a replay of the log gives everything back."""
        self.services["auth"].kill()
        shutil.rmtree(self.directory.auth)
        self.directory.auth.mkdir(mode=0o700)
        self.services["auth"].start()
        self.wait_ready("auth")

    def stop(self) -> None:
        """Stop everything: who uses the bus first, the bus last."""
        for child in reversed(self.services.values()):
            child.stop()
        self.nats.stop()
        endpoints.remove(self.directory.path)

    def _child(self, name: str) -> Child:
        log = self.directory.logs / f"{name}.log"
        return Child(name, [sys.executable, "-m", f"scopefold.{name}"], self._environ(name), log)

    def _environ(self, name: str) -> dict[str, str]:
        """A service's settings. The caller's own SCOPEFOLD_ variables are for commands, but for those of auth that
        nothing here decides.
        """
        ours = {
            "HOST": HOST,
            "PORT": str(self._ports[name]),
            "LOG_LEVEL": "INFO",
            "NATS_URL": self.nats.url,
            "TENANT": TENANT,
            "ADMIN_TOKEN_FILE": str(self.directory.admin_token),
            "ISSUER": self._urls["auth"],
        }
        if name in OURS:
            ours |= {"NATS_CREDENTIALS": str(self.directory.bus.seed(name))}
        if name == "auth":
            ours |= {"KEK_FILE": str(self.directory.kek), "DATA_DIR": str(self.directory.auth)}
            ours |= {"BUS_LOG": str(self.nats.log)}
            ours |= {"LOGINS_PER_MINUTE": "60000"}  # everybody who comes to this machine has its one address
        if name == "provisioner" and self._manifests is not None:
            ours |= {"MANIFESTS": str(self._manifests.absolute())}
        if name == "sandbox":
            ours |= {"PUBLIC_URL": self._urls["sandbox"]}
        passed = _passed(Settings) if name == "auth" else frozenset()
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith("SCOPEFOLD_") or key in passed
        }
        return inherited | {f"SCOPEFOLD_{key}": value for key, value in ours.items()}


DECIDED: Final = frozenset(
    {
        *("admin_token", "kek", "kek_command", "nats_url", "nats_credentials", "tenant", "host", "port", "issuer"),
        *("data_dir", "bus_log", "logins_per_minute", "log_level"),
    }
)
"""Settings of auth that the data directory, the ports or this machine decide."""


def _passed(settings: type[Struct]) -> frozenset[str]:
    """The variables that an operator may set for auth."""
    names = {PREFIX + one.name.upper() for one in msgspec.structs.fields(settings) if one.name not in DECIDED}
    return frozenset(names | {f"{name}_FILE" for name in names})


@contextmanager
def running(plan: Plan) -> Iterator[Stack]:
    """A Scopefold that is ready, and is stopped at the end, whatever the end is. Raises `Failure`."""
    directory = DataDirectory(plan.data)
    with directory.held():
        stack = Stack(plan, directory)
        try:
            stack.start()
            yield stack
        finally:
            with _undisturbed():
                stack.stop()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Stopping is bounded and must be finished: a second Ctrl-C meanwhile is not heard."""
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def chosen_ports(plan: Plan) -> dict[str, int]:
    """The port of each part, in the order in which they start. Raises `Failure` (usage) where one is taken."""
    wanted = {"nats": plan.nats_port, "provisioner": plan.provisioner_port, "auth": plan.auth_port}
    if plan.sandbox:
        wanted["sandbox"] = plan.sandbox_port
    for name, port in wanted.items():
        others = [other for other, same in wanted.items() if other != name and same == port != 0]
        if others:
            raise usage("Two parts cannot share a port", f"{name} and {others[0]} were both given {port}")
        try:
            check_port(HOST, port)
        except PortTaken as error:
            raise usage(f"The port of {name} is taken", f"{error}. Give another with --{name}-port (0: any)") from None
    return {name: port or free_port() for name, port in wanted.items()}
