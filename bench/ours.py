"""Scopefold as a measured system: the real auth process on a real nats-server, with the settings it is shipped with."""

import asyncio
import base64
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import nats
from msgspec.structs import replace

from bench.driver import REDIRECT_URI, WEB, System
from bench.stand_in import CLIENT_ID, CLIENT_SECRET, SCOPES
from bench.started import CannotStartError, start
from scopefold.auth.store import declared
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.ports import free_port
from scopefold.ledger.log import Log, declare

READY_SECONDS: Final = 20.0
ADMIN: Final = "bench-admin-token-of-no-worth"
NO_LIMIT: Final = "1000000000"
NOT_LIKE_FOR_LIKE: Final = (
    "every login is on disk before it is answered (fsync): two events, the sealed token, the session, the spent code"
)


@contextmanager
def scopefold(folder: Path, idp: str) -> Iterator[System]:
    """Scopefold, with one IdP and two clients. Raises `CannotStartError`."""
    with alone(folder, new_kek()) as (system, _):
        with httpx.Client(base_url=system.origin, headers=_admin(), timeout=20) as admin:
            web, service = _registered(admin, idp)
        yield replace(system, client=web, service=service)


@contextmanager
def alone(folder: Path, kek: str) -> Iterator[tuple[System, str]]:
    """Scopefold with nothing registered, and the address of its bus. Raises `CannotStartError`."""
    server = NatsServer(folder / "nats")
    server.start()
    try:
        asyncio.run(_declared(server.url))
        port = free_port()
        environment = {
            "SCOPEFOLD_NATS_URL": server.url,
            "SCOPEFOLD_DATA_DIR": str(folder),
            "SCOPEFOLD_PORT": str(port),
            "SCOPEFOLD_ISSUER": f"http://127.0.0.1:{port}",
            "SCOPEFOLD_ADMIN_TOKEN": ADMIN,
            "SCOPEFOLD_KEK": kek,
            # One address drives it, and measures how fast it is rather than how fast it may be.
            "SCOPEFOLD_LOGINS_PER_MINUTE": NO_LIMIT,
        }
        auth = start("scopefold", [sys.executable, "-m", "scopefold.auth"], environment, folder, port)
        try:
            asyncio.run(_settled(port))
            assert server.process is not None and auth.process is not None
            system = System(
                name="scopefold",
                port=port,
                authorize="/authorize",
                token="/oauth2/token",
                roots=(auth.process.pid, server.process.pid),
                service_forms={"ES256": urlencode({"grant_type": "client_credentials", "scope": "api:read"})},
            )
            yield system, server.url
        finally:
            auth.stop()
    finally:
        server.stop()


def new_kek() -> str:
    """A key-encryption key, as SCOPEFOLD_KEK has it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _admin() -> dict[str, str]:
    return {"authorization": f"Bearer {ADMIN}"}


async def _declared(url: str) -> None:
    nc = await nats.connect(url)
    log = Log(nc)
    await declare(log)
    await declared.declare(log.js)
    await nc.close()


async def _settled(port: int) -> None:
    """Return once the service has read the log."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=2) as http:
        while asyncio.get_running_loop().time() < deadline:
            if (await http.get("/readyz")).status_code == 200:
                return
            await asyncio.sleep(0.05)
    raise CannotStartError(f"scopefold was not ready after {READY_SECONDS:.0f} s")


def _registered(admin: httpx.Client, idp: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Register the IdP and both clients; names and secrets of the clients."""
    upstream = {
        "idp": "upstream",
        "profile": "oidc",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "base_scopes": SCOPES.split(),
        "parameters": {"issuer": idp},
    }
    _done(admin.post("/v1/idps", json=upstream))
    place = "/api/v1/organizations/default/clients"
    web = {"client_id": WEB, "client_name": "Web", "redirect_uris": [REDIRECT_URI]}
    machine = {
        "client_id": "svc",
        "client_name": "Machine",
        "grant_types": ["client_credentials"],
        "scopes": ["api:read"],
    }
    secrets = [_done(admin.post(place, json=one))["client_secret"] for one in (web, machine)]
    return (WEB, secrets[0]), ("svc", secrets[1])


def _done(answer: httpx.Response) -> Any:
    if answer.status_code != 201:
        raise CannotStartError(f"scopefold refused {answer.request.url.path}: {answer.status_code} {answer.text[:200]}")
    return answer.json()
