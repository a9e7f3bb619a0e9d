"""The one connection to the bus: FastStream's. It is made in the background, and made again whenever it is lost."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import nats.errors
from fast_depends.msgspec import MsgSpecSerializer
from faststream.nats import NatsBroker, NatsNKey
from faststream.nats.broker.broker import UNRECOVERABLE_CONNECT_ERRORS
from nats.aio.client import DEFAULT_INBOX_PREFIX, Client

from scopefold.ledger.address import BadAddress, servers_in, shown
from scopefold.ledger.credentials import BadCredentials, Credentials
from scopefold.ledger.log import Log, LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.settings import BadSettings

RECONNECT_SECONDS: Final = 1
PING_SECONDS: Final = 2
MOST_UNANSWERED: Final = 2
"""Pings. A connection that a firewall or a dead machine swallows says nothing: it is given up after six seconds."""
SILENT_SECONDS: Final = 5.0
"""A client that reconnects says so at every try: one that said nothing for so long hangs."""
FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 2
log = logger(__name__)


class Bus:
    """The bus as this process sees it. Says once that it is away and once that it is back."""

    def __init__(self, url: str, service: str, credentials: Path | None = None) -> None:
        """`credentials` is the file with this service's seed; None for a bus that asks nobody. Raises `BadSettings`."""
        self._name = f"scopefold-{service}"
        try:
            self._servers = servers_in(url)
        except BadAddress as error:
            raise BadSettings(f"SCOPEFOLD_NATS_URL: {error}") from None
        self._addresses = ", ".join(map(shown, self._servers))
        self._credentials = _own(credentials, service) if credentials is not None else None
        self._log: Log | None = None
        self._broker: NatsBroker | None = None
        self._lost = asyncio.Event()
        self._away: bool | None = None
        self._heard = 0
        """How often the client has said how it fares."""

    def log(self) -> Log:
        """The log through this connection. Raises `LogUnavailable` at once while there is none.

        Asking a client that is reconnecting would only wait: it keeps requests for later.
        """
        if self._log is None or not self._log.nc.is_connected:
            raise LogUnavailable(f"there is no connection to the bus at {self._addresses}")
        return self._log

    async def keep_connected(self, subscribe: Callable[[NatsBroker], None]) -> None:
        """Connect, with the subscribers that `subscribe` adds, for ever. Ends only by cancellation.

        The client itself reconnects without end. What it cannot outlive, such as being refused for its
        credentials, is met with a new client.
        """
        await self.close()  # what a defect of this very loop left open
        pause = FIRST_PAUSE_SECONDS
        while True:
            self._lost.clear()
            broker = self._broker = self._new_broker()
            subscribe(broker)
            try:
                self._log = Log(await broker.connect())
                await broker.start()
            except Exception as error:  # whatever it is, giving up would leave a service that never recovers
                self._went_away(error)
            else:
                self._came_back()
                pause = FIRST_PAUSE_SECONDS
                await self._until_lost(self._log.nc)
            await self.close()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _until_lost(self, nc: Client) -> None:
        """Until the client has given up.

        Before it reconnects, it waits until the old connection has taken all that was still to be sent there, and one
        that nobody reads any more never does.
        """
        while not self._lost.is_set():
            heard = self._heard
            with suppress(TimeoutError):
                async with asyncio.timeout(SILENT_SECONDS):
                    await self._lost.wait()
            if nc.is_reconnecting and heard == self._heard:
                _let_go(nc)

    async def close(self) -> None:
        """Let messages under way finish, and disconnect; within 5 seconds each, or by force."""
        broker, held = self._broker, self._log
        self._broker = self._log = None
        with suppress(Exception):  # a client that is gone already has nothing left to finish
            if broker is not None and (held is None or await _answers(held.nc)):
                async with asyncio.timeout(STOP_SECONDS):
                    await broker.stop()
        # RuntimeError: uvloop's word for writing what is pending to a connection that is closed already.
        with suppress(nats.errors.Error, OSError, TimeoutError, RuntimeError):
            if held is not None and not held.nc.is_closed:
                try:
                    async with asyncio.timeout(STOP_SECONDS):
                        await held.nc.close()
                finally:
                    _let_go(held.nc)

    def _new_broker(self) -> NatsBroker:
        mine = self._credentials
        return NatsBroker(
            self._servers,
            name=self._name,
            security=NatsNKey.from_file(mine.seed_file) if mine is not None else None,
            inbox_prefix=mine.inbox_prefix if mine is not None else DEFAULT_INBOX_PREFIX,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=MOST_UNANSWERED,
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
            closed_cb=self._on_closed,
            serializer=MsgSpecSerializer(),
            logger=_faststream_logger(),
        )

    async def _on_error(self, error: Exception) -> None:
        """While disconnected, an error is one more vain try. After some, FastStream gives up the client."""
        self._heard += 1
        if self._log is not None and self._log.nc.is_connected:
            if not isinstance(error, nats.errors.UnexpectedEOF):  # the loss of the connection is told when it follows
                log.warning("the bus reports an error", bus=self._addresses, why=str(error))
            return
        self._went_away(error)
        if str(error).removeprefix("nats: ").strip("'").lower() in UNRECOVERABLE_CONNECT_ERRORS:
            log.error("the bus refuses this client", bus=self._addresses, why=str(error))
            self._lost.set()

    async def _on_disconnected(self) -> None:
        self._heard += 1
        if self._log is not None:
            _answer_none(self._log.nc)
        if self._log is not None:
            self._went_away(None)

    async def _on_reconnected(self) -> None:
        self._heard += 1
        self._came_back()

    async def _on_closed(self) -> None:
        self._lost.set()

    def _went_away(self, error: Exception | None) -> None:
        if self._away is not True:
            why = str(error) or type(error).__name__ if error else "the connection was lost"
            log.warning("the bus is away; trying again until it answers", bus=self._addresses, why=why)
        self._away = True

    def _came_back(self) -> None:
        if self._away is not False:
            log.info("the bus is back" if self._away else "connected to the bus", bus=self._addresses)
        self._away = False


def _own(path: Path, service: str) -> Credentials:
    try:
        found = Credentials.of(path)
    except BadCredentials as error:
        raise BadSettings(f"SCOPEFOLD_NATS_CREDENTIALS: {error}") from None
    if found.name != service:
        raise BadSettings(f"SCOPEFOLD_NATS_CREDENTIALS: {path} is of {found.name}; this is {service}")
    return found


async def _answers(nc: Client) -> bool:
    """Does the bus? Where it does not, nothing that is under way can finish."""
    try:
        await nc.flush(ANSWER_SECONDS)
    except (nats.errors.Error, OSError):
        return False
    return True


def _answer_none(nc: Client) -> None:
    """Fail every request under way: its answer cannot come any more, and whoever waits for it could ask again."""
    for waiting in list(nc._resp_map.values()):
        if not waiting.done():
            waiting.set_exception(nats.errors.ConnectionReconnectingError())


def _let_go(nc: Client) -> None:
    """Drop the connection that a client has, with all that is still to be sent there."""
    writer = getattr(nc._transport, "_io_writer", None)
    if writer is not None:
        writer.transport.abort()


def _faststream_logger() -> logging.Logger:
    """FastStream's warnings, but for those on errors of the bus: `_on_error` says these in a line, without a trace.

    When it is imported, FastStream gives its loggers a form and a level of their own: they would tell every message,
    and not as JSON.
    """
    logging.getLogger("faststream").handlers[:] = []
    logging.getLogger("faststream").propagate = True
    faststream = logging.getLogger("faststream.nats")
    faststream.setLevel(logging.WARNING)
    faststream.filters[:] = [lambda record: not record.getMessage().startswith("Connection broken")]
    return faststream
