"""What stands between two programs on a network: it carries their bytes, or swallows them without a word."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

CHUNK_BYTES: Final = 65_536


class Relay:
    """Forwards to a port of this machine. What one connection is done to is done to it for good."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self.url = ""
        self._to_port = to_port
        self._open: set[StreamWriter] = set()
        self._there, self._back = _flowing(), _flowing()
        self.closes: Callable[[], None] = lambda: None

    def swallow(self) -> None:
        """From now on nothing arrives, in either direction, and nobody is told; whoever connects anew is carried."""
        self._there.clear()
        self.swallow_answers()

    def swallow_answers(self) -> None:
        """What is asked arrives, and no answer does."""
        self._back.clear()
        self._there, self._back = _flowing(), _flowing()

    def close(self) -> None:
        """Take nobody any more, and reset every connection."""
        self.closes()
        self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        for writer in self._open:
            writer.transport.abort()

    async def carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        """One connection, until either side ends it."""
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        mine = {writer, other_writer}
        self._open |= mine
        try:
            there, back = self._pump(reader, other_writer, self._there), self._pump(other_reader, writer, self._back)
            await asyncio.gather(there, back)
        finally:
            self._open -= mine
            for one in mine:
                one.transport.abort()

    async def _pump(self, reader: StreamReader, writer: StreamWriter, flows: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await flows.wait()
                writer.write(data)
                await writer.drain()
        writer.transport.abort()


def _flowing() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def relay(to_port: int) -> AsyncIterator[Relay]:
    """A relay, for as long as a test needs it."""
    made = Relay(to_port)
    server = await asyncio.start_server(made.carry, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    made.url, made.closes = f"nats://127.0.0.1:{made.port}", server.close
    try:
        yield made
    finally:
        made.close()
