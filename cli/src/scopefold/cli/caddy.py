"""Caddy as a gateway in front of an upstream API: it asks auth about every call (`forward_auth`)."""

import shutil
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from scopefold.cli.child import Child
from scopefold.cli.failure import refused
from scopefold.cli.ports import HOST, free_port

CADDYFILE: Final = Path(__file__).with_name("Caddyfile")
"""The example of `examples/gateways`, for who has installed the command alone."""
START_SECONDS: Final = 20.0


class Gateway(Struct, frozen=True, kw_only=True):
    """What stands between: who asks whom, about which resource type, in front of what.

    `credentials` are those of a client that may exchange tokens, as `Basic ...`; `missing` is how it wants to be told
    what a token lacks: `challenge` or `bad-gateway`.
    """

    auth: str
    credentials: str
    resource: str
    upstream: str
    missing: str = "challenge"


def executable() -> Path | None:
    """The Caddy that came with this environment, or the one on PATH; None where there is none."""
    beside = Path(sysconfig.get_path("scripts")) / "caddy"
    found = str(beside) if beside.exists() else shutil.which("caddy")
    return Path(found) if found is not None else None


@contextmanager
def running(caddy: Path, gateway: Gateway, directory: Path, config: Path = CADDYFILE) -> Iterator[str]:
    """A running Caddy; its address. What it keeps is in the directory. Raises `Failure` where it does not start."""
    address = f"http://{HOST}:{free_port()}"
    environ = {
        "HOME": str(directory),
        "SCOPEFOLD": gateway.auth.removeprefix("http://"),
        "GATEWAY": gateway.credentials,
        "RESOURCE": gateway.resource,
        "UPSTREAM": gateway.upstream,
        "LISTEN": address,
        "MISSING": gateway.missing,
    }
    command = [str(caddy), "run", "--config", str(config), "--adapter", "caddyfile"]
    child = Child("caddy", command, environ, directory / "caddy.log")
    child.start()
    try:
        _wait(child, address)
        yield address
    finally:
        child.stop()


def _wait(child: Child, address: str) -> None:
    assert child.process is not None
    deadline = time.monotonic() + START_SECONDS
    while child.process.poll() is None and time.monotonic() < deadline:
        try:
            httpx.get(address, timeout=2.0)
        except httpx.TransportError:
            time.sleep(0.05)  # until it listens
        else:
            return
    raise refused("Caddy did not start", child.last_words())
