"""Serve one ASGI application over HTTP in this process, until it is told to stop."""

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from scopefold.runtime.logs import logger

log = logger(__name__)
STOP_SECONDS: Final = 10.0


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


def look_no_more_at_what_stays() -> None:
    """Let Python's collector pass over all that is there now, for it stays: looking through it again and again only
    takes time from requests, most of all through what is remembered of a hundred thousand users.

    To be called again where much was made that stays; what was dropped since the last time is looked for first.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


async def serve(app: Any, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT, letting requests under way finish."""
    check_port(host, port)
    server = Server(app, address=host, port=port, interface=Interfaces.ASGI, log_enabled=False)
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, server.stop)
    look_no_more_at_what_stays()
    log.info("listening", address=f"http://{host}:{port}")
    await server.serve()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a service's main coroutine to its end."""

    async def started() -> None:
        await main()

    uvloop.run(started())
