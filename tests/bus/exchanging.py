"""A world whose bus lets in only whom it knows: services that exchange users' tokens over it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from scopefold.auth.oauth.exchange import EXCHANGE
from scopefold.contracts.exchange import ExchangeAnswer, ExchangeToken, NotExchanged, exchange
from scopefold.ledger.log import Log
from tests.auth.world import World, auth, until_ready
from tests.bus.guarded import Guarded, connection, declared, guarded
from tests.support import process
from tests.support.process import Service


class GuardedWorld(World):
    """A world on such a bus. What a test publishes, the provisioner does."""

    def __init__(self, bus: Guarded, auth: Service, sandbox: Service, directory: Path) -> None:
        super().__init__(bus.server, auth, sandbox, directory)
        self.guarded = bus

    @property
    def settings(self) -> dict[str, str]:
        return {**super().settings, "nats_credentials": str(self.guarded.directory.seed("auth"))}

    @asynccontextmanager
    async def log(self) -> AsyncIterator[Log]:
        async with connection(self.bus.url, self.guarded.directory.seed("provisioner"), []) as nc:
            yield Log(nc)

    @asynccontextmanager
    async def keeper(self) -> AsyncIterator[Client]:
        async with connection(self.bus.url, self.guarded.directory.seed("auth"), []) as nc:
            yield nc

    async def client_of(self, service: str, *resources: str, **changed: Any) -> None:
        """Register the service as a client that may exchange for these resource types."""
        asked: dict[str, Any] = {
            "client_id": service,
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": [EXCHANGE],
            "exchange_resources": list(resources),
            "redirect_uris": [],
            "scopes": ["profile"],
        }
        await self.register_client(**{**asked, **changed})

    async def ask(self, service: str, asked: ExchangeToken) -> ExchangeAnswer:
        """What this service gets, be it a token or a refusal."""
        async with self.guarded.as_(service) as person:
            try:
                return await exchange(person.nc, asked, service=service, timeout_seconds=40)
            except NotExchanged as refused:
                return refused.answer


@contextmanager
def exchanging(directory: Path, *services: str) -> Iterator[GuardedWorld]:
    """Everything started, and these services known to the bus as such that exchange."""
    with ExitStack() as stack:
        bus = stack.enter_context(guarded(directory, *services))
        asyncio.run(declared(bus))
        settings = {"nats_url": bus.server.url, "nats_credentials": str(bus.directory.seed("auth"))}
        service = stack.enter_context(auth(directory / "auth", **settings))
        sandbox = stack.enter_context(process.running("sandbox", directory, issuer=service.url))
        asyncio.run(until_ready(service))
        yield GuardedWorld(bus, service, sandbox, directory)
