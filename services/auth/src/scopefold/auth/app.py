"""Everything that makes up the auth service, wired by hand, top to bottom."""

import asyncio
import contextlib
import sqlite3
from typing import Final

import httpx

from scopefold.auth import stream
from scopefold.auth.core.seal import read_key
from scopefold.auth.folding import keep_folding
from scopefold.auth.settings import Settings, check
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.routes import build
from scopefold.auth.web.service import Service
from scopefold.auth.web.signing_keys import keep_keys
from scopefold.auth.web.withholding import keep_watch
from scopefold.runtime.bus import Bus
from scopefold.runtime.serve import check_port, serve
from scopefold.runtime.settings import BadSettings

CLIENT_SECONDS: Final = 10.0


async def main(settings: Settings) -> None:
    """Run until told to stop. Raises `BadSettings`, `BadKey`, `PortTaken` where it cannot start."""
    check(settings)
    kek = read_key(settings.kek.reveal())
    check_port(settings.host, settings.port)
    projection = Projection(settings.tenant)
    path = settings.data_dir / "projection.db"
    try:
        await projection.open(path)
    except (sqlite3.Error, OSError) as error:
        raise BadSettings(f"SCOPEFOLD_DATA_DIR: cannot keep {path}: {error}") from None
    http = httpx.AsyncClient(timeout=CLIENT_SECONDS, follow_redirects=False)
    service = Service(settings, projection, http)
    bus, wake = Bus(settings.nats_url, "auth"), asyncio.Event()
    background = [
        asyncio.create_task(bus.keep_connected(stream.subscribe(settings.tenant, wake))),
        asyncio.create_task(keep_folding(service, bus, kek, wake)),
        asyncio.create_task(keep_watch(service)),
        asyncio.create_task(keep_keys(service)),
    ]
    try:
        await serve(build(service), settings.host, settings.port)
    finally:
        for task in background:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*background)
        await service.backchannel.close()
        await bus.close()
        await http.aclose()
        await service.upstream.aclose()
        await service.egress.close()
        await service.history.forget()
        await projection.close()
