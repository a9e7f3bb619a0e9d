"""One connection to the bus for one command."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from scopefold.cli.failure import UNREACHABLE, Failure, refused, unreachable, usage
from scopefold.cli.reach import Reach
from scopefold.ledger.address import BadAddress, servers_in, shown
from scopefold.ledger.credentials import BadCredentials, Credentials
from scopefold.ledger.log import Log, LogNotDeclared, LogUnavailable
from scopefold.ledger.read import LogGap

CONNECT_SECONDS: Final = 5
CLOSE_SECONDS: Final = 3
_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription) to ("[^"]*")')


@asynccontextmanager
async def connected(reach: Reach) -> AsyncIterator[Log]:
    """The log on this bus. What goes wrong with either becomes a `Failure`."""

    met: list[Exception] = []

    async def note(error: Exception) -> None:
        met.append(error)  # it also comes back from the call that met it; the default would print a traceback

    options: dict[str, Any] = {}
    try:
        servers = servers_in(reach.url)
        if reach.credentials is not None:
            mine = Credentials.of(reach.credentials)
            options = {"nkeys_seed": str(mine.seed_file), "inbox_prefix": mine.inbox_prefix}
    except BadAddress as error:
        raise usage("This is no address of a bus", str(error)) from None
    except BadCredentials as error:
        raise usage("The credentials for the bus cannot be used", str(error)) from None
    nc = Client()
    connecting = nc.connect(
        servers,
        **options,
        connect_timeout=CONNECT_SECONDS,
        allow_reconnect=False,
        max_reconnect_attempts=1,
        reconnect_time_wait=1,
        error_cb=note,
    )
    try:
        async with asyncio.timeout(2 * CONNECT_SECONDS):
            await connecting
    except (nats.errors.Error, TimeoutError, OSError, ValueError) as error:
        await _close(nc)  # what was refused is still open
        why = str(met[-1] if met else error) or "no answer"
        where = ", ".join(map(shown, servers))
        raise unreachable("Cannot reach the bus", f"{where}: {why}. Is it running? Try: scopefold up") from None
    try:
        yield Log(nc)
    except (LogUnavailable, TimeoutError, nats.errors.ConnectionClosedError, Failure) as error:
        # What the bus denies it does not answer; it says so beside it.
        if (right := _denied(met)) and (not isinstance(error, Failure) or error.exit_code == UNREACHABLE):
            raise _not_allowed(reach, right) from None
        if isinstance(error, LogUnavailable):
            raise unreachable("The log does not answer", str(error)) from None
        if isinstance(error, nats.errors.Error):
            raise unreachable("The bus does not answer", repr(error)) from None
        raise
    except LogNotDeclared as error:
        raise refused("There is no log here", str(error)) from None
    except LogGap as error:
        raise refused("The log is damaged", f"{error}. Restore its storage from a replica or a backup") from None
    finally:
        await _close(nc)


def _denied(met: Sequence[Exception]) -> str:
    """The right that the bus denied last, in its own words, as its log has it too; empty where it denied none."""
    found = [f"{right[1]} to {right[2]}" for error in met if (right := _VIOLATION.search(str(error)))]
    return found[-1].replace("subscription", "subscribe") if found else ""


def _not_allowed(reach: Reach, right: str) -> Failure:
    whose = f"The credentials in {reach.credentials}" if reach.credentials else "Who comes without credentials"
    return refused(
        "The bus does not allow this",
        f"{whose} may not {right}. Name others with --nats-credentials; docs/deploy.md says who may what",
    )


async def _close(nc: Client) -> None:
    """Whatever went wrong, the command ends: a connection in disorder may take for ever to close, as one does whose
    certificate was not believed.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await nc.close()
