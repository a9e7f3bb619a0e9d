"""HTTP/1.1 as the drivers need it: one kept connection, one request at a time, and as little work as possible.

A driver shares the machine with what it measures, so it must cost much less. Nothing here is for the open internet.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from msgspec import Struct

ANSWER_SECONDS: Final = 20.0
_END: Final = b"\r\n\r\n"


class Answer(Struct, frozen=True):
    """An answer: header names are in lower case, and a name may come again."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str:
        """The first header of this name; empty where there is none."""
        return next((value for known, value in self.headers if known == name), "")


class Connection(asyncio.Protocol):
    """One connection to one place on this machine, opened anew where the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._waiting is None or self._waiting.done():
            return
        try:
            taken = take_answer(self._buffer)
        except ValueError as error:
            self._waiting.set_exception(error)
        else:
            if taken is not None:
                self._waiting.set_result(taken)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._buffer.clear()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError("the server closed the connection"))

    async def ask(self, request: bytes) -> Answer:
        """Send a request and await its answer. Raises `ConnectionError`, `TimeoutError`, `ValueError`."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._waiting = loop.create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            return await self._waiting

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()


def take_answer(buffer: bytearray) -> Answer | None:
    """Take a whole answer out of the buffer; None while it is not all there. Raises `ValueError`."""
    end = buffer.find(_END)
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    headers = tuple((name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    named = dict(headers)
    start = end + len(_END)
    if named.get("transfer-encoding") == "chunked":
        body, stop = _chunks(buffer, start)
    else:
        length = int(named.get("content-length", "0"))
        body, stop = bytes(buffer[start : start + length]), start + length
    if stop < 0 or len(buffer) < stop:
        return None
    del buffer[:stop]
    return Answer(int(first.split(" ", 2)[1]), headers, body)


def _chunks(buffer: bytearray, at: int) -> tuple[bytes, int]:
    """A chunked body (RFC 9112, section 7.1) and where it ends; -1 while it is not all there."""
    body = bytearray()
    while (line := buffer.find(b"\r\n", at)) >= 0:
        size = int(buffer[at:line].split(b";")[0], 16)
        at = line + 2 + size + 2
        if len(buffer) < at:
            break
        if size == 0:
            return bytes(body), at
        body += buffer[line + 2 : at - 2]
    return b"", -1


def request(
    method: str, target: str, port: int, *, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
) -> bytes:
    """A request's bytes."""
    lines = [f"{method} {target} HTTP/1.1", f"host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in headers)]
    if method == "POST":
        lines += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + _END + body
