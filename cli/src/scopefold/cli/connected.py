"""One connection to the bus for one command."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from scopefold.cli.failure import refused, unreachable, usage
from scopefold.cli.reach import Reach
from scopefold.ledger.credentials import BadCredentials, Credentials
from scopefold.ledger.log import Log, LogNotDeclared, LogUnavailable
from scopefold.ledger.read import LogGap

CONNECT_SECONDS: Final = 5
CLOSE_SECONDS: Final = 3


@asynccontextmanager
async def connected(reach: Reach) -> AsyncIterator[Log]:
    """The log on this bus. What goes wrong with either becomes a `Failure`."""

    met: list[Exception] = []

    async def note(error: Exception) -> None:
        met.append(error)  # it also comes back from the call that met it; the default would print a traceback

    url = reach.url
    options: dict[str, Any] = {}
    try:
        if reach.credentials is not None:
            mine = Credentials.of(reach.credentials)
            options = {"nkeys_seed": str(mine.seed_file), "inbox_prefix": mine.inbox_prefix}
    except BadCredentials as error:
        raise usage("The credentials for the bus cannot be used", str(error)) from None
    nc = Client()
    connecting = nc.connect(
        url.split(","),
        **options,
        connect_timeout=CONNECT_SECONDS,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=1,
        error_cb=note,
    )
    try:
        await asyncio.wait_for(connecting, 2 * CONNECT_SECONDS)
    except (nats.errors.Error, TimeoutError, OSError, ValueError) as error:
        await _close(nc)  # what was refused is still open
        why = str(met[-1] if met else error) or "no answer"
        raise unreachable("Cannot reach the bus", f"{url}: {why}. Is it running? Try: scopefold up") from None
    try:
        yield Log(nc)
    except LogUnavailable as error:
        raise unreachable("The log does not answer", str(error)) from None
    except LogNotDeclared as error:
        raise refused("There is no log here", str(error)) from None
    except LogGap as error:
        raise refused("The log is damaged", f"{error}. Restore its storage from a replica or a backup") from None
    finally:
        await _close(nc)


async def _close(nc: Client) -> None:
    """Whatever went wrong, the command ends: a connection in disorder may take for ever to close, as one does whose
    certificate was not believed.
    """
    with suppress(TimeoutError):
        await asyncio.wait_for(nc.close(), CLOSE_SECONDS)
