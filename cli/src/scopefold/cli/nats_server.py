"""The embedded bus: a real nats-server, started with the settings that the log rests on."""

import json
import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path
from typing import Final

from scopefold.cli.bus_config import KEEPER
from scopefold.cli.child import end, tether, uninterrupted
from scopefold.cli.ports import HOST, free_port

START_SECONDS: Final = 15.0
STOP_SECONDS: Final = 10.0
GLOBAL_ACCOUNT: Final = "$G"
LOG_NAME: Final = "nats.log"
LOG_LIMIT: Final = "10MB"
"""Who is refused can write there as fast as they like."""


class NatsDidNotStart(RuntimeError):
    """nats-server is missing, or it ended or stayed silent at its start; the message says which."""


def executable() -> str:
    """The nats-server that came with this environment, or the one on PATH. Raises `NatsDidNotStart`."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NatsDidNotStart("there is no nats-server here; install scopefold[server]")
    return found


def write_config(directory: Path, port: int, accounts: Path | None) -> Path:
    """The server's configuration. `sync_interval: always` is what makes an acknowledged event durable.

    `accounts` is the file that says who may come in; without it the bus is open to this machine, for tests alone.
    """
    store = directory / "jetstream"
    path = directory / "nats.conf"
    path.write_text(
        f'listen: "{HOST}:{port}"\n'
        f"ports_file_dir: {json.dumps(str(directory))}\n"
        f"log_file: {json.dumps(str(directory / LOG_NAME))}\n"
        f"logfile_size_limit: {LOG_LIMIT}\n"
        "logfile_max_num: 3\n"
        "max_payload: 1MB\n"
        "jetstream {\n"
        f"  store_dir: {json.dumps(str(store))}\n"
        "  sync_interval: always\n"
        "  max_memory_store: 256MB\n"
        "  max_file_store: 128GB\n"
        "}\n" + (f"include {json.dumps(os.path.relpath(accounts, directory))}\n" if accounts is not None else "")
    )
    return path


class NatsServer:
    """One nats-server process, with its store in `directory`. It ends with its parent. No port is any free one."""

    name = "nats-server"

    def __init__(self, directory: Path, port: int | None = None, accounts: Path | None = None) -> None:
        self.directory = directory
        self.accounts = accounts
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What the server writes, also of what it refuses."""
        return self.directory / LOG_NAME

    def start(self) -> None:
        """Start, and return once the server listens. Raises `NatsDidNotStart`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        for stale in self.directory.glob("nats-server_*.ports"):
            stale.unlink()
        if self.accounts is not None:
            _move_into_account(self.directory / "jetstream" / "jetstream")
        config = write_config(self.directory, self.port, self.accounts)
        # Beside the server itself, which writes there too: what keeps it from starting comes this way.
        with uninterrupted(), self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [executable(), "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=tether(),  # noqa: PLW1509  # see Child
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NatsDidNotStart(f"nats-server ended at its start; see {self.log}")
            if any(self.directory.glob("nats-server_*.ports")):
                return
            time.sleep(0.02)  # the server announces its ports in a file and has no other way to say so
        self.stop()
        raise NatsDidNotStart(f"nats-server did not listen within {START_SECONDS:.0f} s")

    def kill(self) -> None:
        """End it as a crash would, with SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)

    def stop(self) -> None:
        """End it in good order, or by force after 10 seconds."""
        end(self.process)


def _move_into_account(stores: Path) -> None:
    """Keep what a bus has stored before it had accounts. The server names a store after its account."""
    if (stores / GLOBAL_ACCOUNT).exists() and not (stores / KEEPER).exists():
        (stores / GLOBAL_ACCOUNT).rename(stores / KEEPER)
