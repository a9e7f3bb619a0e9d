"""Serve one ASGI application over HTTP in this process, until it is told to stop."""

import asyncio
import gc
import resource
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from scopefold.runtime.logs import logger

log = logger(__name__)
STOP_SECONDS: Final = 6.0
"""Less than whoever supervises a process waits before it kills it."""
READY_SECONDS: Final = 3.0
"""Who is ready sooner takes no connections before: a proxy brings to another replica what cannot connect, and not what
was answered 503. Longer than a proxy needs to see that nobody is here; after it, who asks is told why."""
HEAD_MILLISECONDS: Final = 30_000
"""Within so long a connection must have sent the whole head of its next request, or it is closed."""
MOST_CONNECTIONS: Final = 4096
BACKLOG: Final = 1024
FILES_BESIDE: Final = 256
"""What else the process has open: the bus, databases, what it asks of others."""


class PortTaken(OSError):
    """Another process listens there already."""


def check_port(host: str, port: int) -> None:
    """Raises `PortTaken` if another process listens there: the server itself would share the port with it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(f"cannot listen on {host}:{port}: {error.strerror}") from None


def connections_taken() -> int:
    """How many connections are taken at once; what comes beyond waits. As many as the process may have files open for,
    up to a bound: one program that opens some hundred connections must not keep everybody else waiting.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = wanted if soft == resource.RLIM_INFINITY else min(wanted, soft)
    return max(files - FILES_BESIDE, files // 2)


def look_no_more_at_what_stays() -> None:
    """Let Python's collector pass over all that is there now, for it stays: looking through it again and again only
    takes time from requests, most of all through what is remembered of a hundred thousand users.

    To be called again where much was made that stays; what was dropped since the last time is looked for first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


class _UnderWay:
    """The application, and the requests that it is answering."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._requests: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = asyncio.current_task()
        assert request is not None
        self._requests.add(request)
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            request.uncancel()  # its connection is closed without an answer
        finally:
            self._requests.discard(request)

    def give_up(self) -> None:
        """Answer none of them any more."""
        if self._requests:
            log.warning("stopped before all requests were answered", requests=len(self._requests))
        for request in self._requests:
            request.cancel()


async def serve(app: Any, host: str, port: int, ready: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM or SIGINT, letting requests under way finish for 6 seconds: one that comes a byte at a time
    must not keep the rest from ending in good order. Takes no connections before it is `ready`, or 3 seconds are over.
    """
    check_port(host, port)
    under_way = _UnderWay(app)
    server = Server(
        under_way,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
        http=HTTPModes.http1,  # what else it could be, it would wait for without an end
        http1_settings=HTTP1Settings(header_read_timeout=HEAD_MILLISECONDS),
        backlog=BACKLOG,
        backpressure=connections_taken(),
    )
    loop = asyncio.get_running_loop()
    told_to_stop = asyncio.Event()

    def stop() -> None:
        told_to_stop.set()
        server.stop()  # type: ignore[no-untyped-call]  # Granian says no types there
        loop.call_later(STOP_SECONDS, under_way.give_up)

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)
    if ready is not None:
        await _either(ready, told_to_stop)
    if told_to_stop.is_set():
        return
    look_no_more_at_what_stays()
    log.info("listening", address=f"http://{host}:{port}")
    await server.serve()


async def _either(ready: asyncio.Event, told_to_stop: asyncio.Event) -> None:
    """Wait for one of them, 3 seconds at most."""
    waiting = [asyncio.ensure_future(one.wait()) for one in (ready, told_to_stop)]
    await asyncio.wait(waiting, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a service's main coroutine to its end."""

    async def started() -> None:
        await main()

    uvloop.run(started())
