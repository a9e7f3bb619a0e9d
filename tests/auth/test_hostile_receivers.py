"""A webhook's receiver that hangs, floods or leads elsewhere costs one attempt, a bound of time, and little memory."""

import asyncio
import gzip
import tracemalloc
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from scopefold.auth.web import outgoing
from scopefold.auth.web.outgoing import Http
from scopefold.auth.web.service import now
from scopefold.auth.web.webhook import TURN
from scopefold.auth.web.webhook_sender import Sender
from tests.auth.test_webhook import SECRET
from tests.support.process import DEADLINE_SECONDS

Answer = Callable[[StreamReader, StreamWriter], Awaitable[None]]
BOUND_SECONDS = 0.5
MOST_BYTES = 16 * 1024 * 1024
CHUNK = b"x" * 65_536
BOMB = gzip.compress(bytes(4 * MOST_BYTES), 1)
OK = b"HTTP/1.1 200 OK\r\n"


async def never(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.read()  # until the other side gives up


async def a_byte_at_a_time(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"content-length: 1000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(reader.read(), BOUND_SECONDS / 5)  # nothing more comes: it is the pace


async def heads_for_ever(reader: StreamReader, writer: StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        await writer.drain()


async def a_body_for_ever(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"\r\n")
    await endless(writer, CHUNK)


async def a_line_for_ever(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"x-long: ")
    await endless(writer, CHUNK)


async def headers_for_ever(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK)
    await endless(writer, b"x-one-more: yes\r\n" * 1000)


async def trailers_for_ever(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"transfer-encoding: chunked\r\n\r\n0\r\n")
    await endless(writer, b"x-one-more: yes\r\n" * 1000)


async def a_small_body_that_unpacks_to_a_huge_one(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(BOMB) + BOMB)
    await reader.read()


async def half_a_body(reader: StreamReader, writer: StreamWriter) -> None:
    writer.write(OK + b"content-length: 100\r\n\r\nhalf")


async def nothing(reader: StreamReader, writer: StreamWriter) -> None:
    pass


async def elsewhere(reader: StreamReader, writer: StreamWriter) -> None:
    port = writer.get_extra_info("sockname")[1]
    writer.write(b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:%d/inside\r\ncontent-length: 0\r\n\r\n" % port)
    await reader.read()


async def endless(writer: StreamWriter, part: bytes) -> None:
    while True:
        writer.write(part)
        await writer.drain()


@asynccontextmanager
async def receiving(answer: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A receiver that answers so; its address, and the first line of every request."""
    came: list[bytes] = []

    async def met(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            came.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
            await answer(reader, writer)
        except OSError:
            pass  # it was given up
        finally:
            writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook", came
    finally:
        server.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (never, "ReadTimeout"),
        (a_byte_at_a_time, "ReadTimeout"),
        (heads_for_ever, "ReadTimeout"),
        (a_body_for_ever, "answer_too_large"),
        (a_line_for_ever, "RemoteProtocolError"),
        (headers_for_ever, "RemoteProtocolError"),
        (trailers_for_ever, "RemoteProtocolError"),
        (a_small_body_that_unpacks_to_a_huge_one, "answer_too_large"),
        (half_a_body, "RemoteProtocolError"),
        (nothing, "RemoteProtocolError"),
        (elsewhere, "http_307"),
    ],
)
async def test_A32_an_attempt_ends_by_its_bound_and_in_little_memory(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, told: str
) -> None:
    if told == "ReadTimeout":  # the others end by what they send, however slow the machine
        monkeypatch.setattr(outgoing, "ANSWER_SECONDS", BOUND_SECONDS)
    http = Http()
    async with receiving(answer) as (address, came):
        sender = Sender(http, address, SECRET, attempts=1)
        tracemalloc.start()
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                assert told == await sender.send("msg_1", CHUNK, now())
            assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
        finally:
            tracemalloc.stop()
            await http.aclose()
        assert [b"POST /hook HTTP/1.1"] == came, "asked once, and led nowhere else"


def test_a_turn_lasts_longer_than_an_attempt() -> None:
    assert timedelta(seconds=2 * outgoing.ANSWER_SECONDS) < TURN
