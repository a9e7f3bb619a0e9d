"""The log between two moments as a command reads it itself, where no service is asked."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from msgspec import Struct

from scopefold.cli.failure import refused, usage
from scopefold.contracts.recorded import Recorded, examine
from scopefold.ledger.log import Log, status
from scopefold.ledger.moments import BadMoment, NoSuchMoment, parse, resolve, time_of
from scopefold.ledger.read import read


class Place(Struct, frozen=True):
    """A place in the log, and the log's time there: None before its first event."""

    seq: int
    at: datetime | None


async def place(log: Log, text: str | None) -> Place:
    """Where a moment is, None: the log's end. Raises `Failure` where there is no such moment."""
    try:
        seq = (await status(log)).last_seq if text is None else await resolve(log, parse(text), datetime.now(UTC))
        return Place(seq, await time_of(log, seq) if seq else None)
    except BadMoment as error:
        raise usage("This is no moment", str(error).rstrip(".")) from None
    except NoSuchMoment as error:
        raise refused("The log does not reach there", str(error).rstrip(".")) from None


async def events(
    log: Log, tenant: str, *, after: int = 0, until: int, subject: str | None = None
) -> AsyncIterator[list[Recorded]]:
    """A tenant's events in parts, from one place to another, on subjects that match. What is none is left out."""
    async for messages in read(log, after=after, until=until, subject=subject):
        found = [examine(message) for message in messages if message.seq <= until]
        yield [one for one in found if isinstance(one, Recorded) and one.tenant == tenant]
