"""Node's better-auth with its OAuth provider plugin, on SQLite: a login that was answered is on disk."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.driver import System
from bench.peers.node import environment_of, installed
from bench.started import CannotStartError, start
from scopefold.cli.ports import free_port

SEED_SECONDS: Final = 60.0


@contextmanager
def better_auth(folder: Path, idp: str) -> Iterator[System]:
    """better-auth, started. Raises `CannotStartError`."""
    program, port = installed("better_auth", scripts=True), free_port()
    environment = {**environment_of(port, idp), "FOLDER": str(folder)}
    argv = ["node", str(program / "server.mjs")]
    _make_clients(argv, environment)
    web = json.loads((folder / "clients.json").read_text())["web"]
    node = start("better-auth", argv, environment, folder, port)
    try:
        assert node.process is not None
        yield System(
            name="better-auth (SQLite)",
            port=port,
            authorize="/api/auth/oauth2/authorize",
            token="/api/auth/oauth2/token",
            roots=(node.process.pid,),
            client=(web["client_id"], web["client_secret"]),
            own_hops=2,
        )
    finally:
        node.stop()


def _make_clients(argv: list[str], environment: dict[str, str]) -> None:
    whole = {"PATH": os.environ["PATH"], **environment}
    try:
        done = subprocess.run(argv, env=whole, capture_output=True, text=True, timeout=SEED_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise CannotStartError(f"it did not make its clients within {SEED_SECONDS:.0f} s") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "Error" in line]
        raise CannotStartError(f"it made no clients: {said[0].strip() if said else done.returncode}")
