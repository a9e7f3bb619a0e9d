"""Everything that makes up the auth service, wired by hand, top to bottom."""

import asyncio
import contextlib
import sqlite3
from typing import Final

import httpx

from scopefold.auth import stream
from scopefold.auth.folding import keep_folding, keep_whole
from scopefold.auth.settings import Settings, check
from scopefold.auth.store.key_source import keks_of
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.bus_exchange import BusExchange
from scopefold.auth.web.keep_alive import keep_alive
from scopefold.auth.web.routes import build
from scopefold.auth.web.service import Service
from scopefold.auth.web.signing_keys import keep_keys
from scopefold.auth.web.vault_keys import keep_vault_readable
from scopefold.auth.web.webhook import keep_telling
from scopefold.auth.web.withholding import keep_watch
from scopefold.runtime.bus import Bus
from scopefold.runtime.serve import check_port, serve
from scopefold.runtime.settings import BadSettings

CLIENT_SECONDS: Final = 10.0
STOP_SECONDS: Final = 5.0


async def main(settings: Settings) -> None:
    """Run until told to stop. Raises `BadSettings`, `PortTaken` where it cannot start."""
    check(settings)
    keks = await keks_of(settings)
    check_port(settings.host, settings.port)
    bus, wake = Bus(settings.nats_url, "auth", settings.nats_credentials), asyncio.Event()
    projection = Projection(settings.tenant)
    path = settings.projection
    try:
        await projection.open(path)
    except (sqlite3.Error, OSError) as error:
        raise BadSettings(f"SCOPEFOLD_DATA_DIR: cannot keep {path}: {error}") from None
    http = httpx.AsyncClient(timeout=CLIENT_SECONDS, follow_redirects=False)
    service = Service(settings, projection, http)
    # On a bus that asks nobody who they are, a subject says nothing of who used it.
    exchanger = BusExchange(service).answer if settings.nats_credentials is not None else None
    background = [
        asyncio.create_task(bus.keep_connected(stream.subscribe(settings.tenant, wake, exchanger))),
        asyncio.create_task(keep_folding(service, bus, keks, wake)),
        asyncio.create_task(keep_whole(service, wake)),
        asyncio.create_task(keep_watch(service)),
        asyncio.create_task(keep_keys(service)),
        asyncio.create_task(keep_alive(service)),
        asyncio.create_task(keep_vault_readable(service)),
        asyncio.create_task(keep_telling(service)),
        asyncio.create_task(service.bus_logs.keep_reading()),
    ]
    try:
        await serve(build(service), settings.host, settings.port)
    finally:
        for task in background:
            task.cancel()
        await asyncio.wait(background, timeout=STOP_SECONDS)  # one may have something to give back
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*background)
        await service.renewals.close()
        await service.backchannel.close()
        await bus.close()
        await http.aclose()
        await service.upstream.aclose()
        await service.egress.close()
        await service.history.forget()
        service.bus_logs.close()
        await projection.close()
