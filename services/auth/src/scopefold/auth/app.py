"""Everything that makes up the auth service, wired by hand, top to bottom."""

import asyncio
from contextlib import AsyncExitStack
from typing import Final

import httpx

from scopefold.auth import stream
from scopefold.auth.folding import keep_folding, keep_whole
from scopefold.auth.settings import Settings, check
from scopefold.auth.store.database import StoreAway
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
from scopefold.runtime.logs import logger
from scopefold.runtime.serve import check_port, serve
from scopefold.runtime.settings import BadSettings

CLIENT_SECONDS: Final = 10.0
log = logger(__name__)


async def main(settings: Settings) -> None:
    """Run until told to stop. Raises `BadSettings`, `PortTaken` where it cannot start."""
    check(settings)
    keks = await keks_of(settings)
    bus, wake = Bus(settings.nats_url, "auth", settings.nats_credentials), asyncio.Event()
    check_port(settings.host, settings.port)
    projection = Projection(settings.tenant)
    path = settings.projection
    try:
        await projection.open(path)
    except (StoreAway, OSError) as error:
        raise BadSettings(f"SCOPEFOLD_DATA_DIR: cannot keep {path}: {error}") from None
    http = httpx.AsyncClient(timeout=CLIENT_SECONDS, follow_redirects=False)
    service = Service(settings, projection, http)
    try:
        service.history.take_place()
    except OSError as error:  # some file systems know no locks: then what was left stays
        log.warning("moments that were left behind are not removed", why=str(error))
    # On a bus that asks nobody who they are, a subject says nothing of who used it.
    exchanger = BusExchange(service).answer if settings.nats_credentials is not None else None
    parts = service.parts
    parts.begin(bus.keep_connected, stream.subscribe(settings.tenant, wake, exchanger))
    parts.begin(keep_folding, service, bus, keks, wake)
    parts.begin(keep_whole, service, wake)
    parts.begin(keep_watch, service)
    parts.begin(keep_keys, service)
    parts.begin(keep_alive, service)
    parts.begin(keep_vault_readable, service)
    parts.begin(keep_telling, service)
    parts.begin(service.bus_logs.keep_reading)
    async with AsyncExitStack() as ending:  # the last of them first, and each whatever the one before met
        ending.push_async_callback(projection.close)
        ending.callback(service.bus_logs.close)
        ending.push_async_callback(service.history.forget)
        ending.push_async_callback(service.egress.close)
        ending.push_async_callback(service.upstream.aclose)
        ending.push_async_callback(http.aclose)
        ending.push_async_callback(bus.close)
        ending.push_async_callback(service.backchannel.close)
        ending.push_async_callback(service.renewals.close)
        ending.push_async_callback(parts.end)
        await serve(build(service), settings.host, settings.port, service.was_ready)
