"""Everything that makes up the auth service, wired by hand, top to bottom."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from typing import Any, Final

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
STOP_SECONDS: Final = 5.0
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
    for task in background:
        task.add_done_callback(_tell)
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
        ending.push_async_callback(_end, background)
        await serve(build(service), settings.host, settings.port, service.was_ready)


async def _end(background: Collection[asyncio.Task[Any]]) -> None:
    """Cancel what runs in the background; one of them may have something to give back."""
    for task in background:
        task.cancel()
    _, left = await asyncio.wait(background, timeout=STOP_SECONDS)
    for task in left:
        log.error("a part of the service does not end", part=_named(task))


def _tell(ended: asyncio.Task[Any]) -> None:
    """Each is for ever, or says why it ends. Who watches nothing any more without a word is missed by nobody."""
    if not ended.cancelled() and (error := ended.exception()) is not None:
        log.critical("a part of the service ended", part=_named(ended), exc_info=error)


def _named(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", "")
