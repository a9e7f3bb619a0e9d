"""A moment as a command finds it in the log itself, where no service is asked."""

from datetime import UTC, datetime

from scopefold.cli.sealed import told_plainly
from scopefold.contracts.recorded import AsOf
from scopefold.ledger.log import Log, status
from scopefold.ledger.moment import parse
from scopefold.ledger.moments import as_of, resolve


async def place_of(log: Log, text: str | None) -> AsOf:
    """Where a moment is, None: the log's end. Raises `Failure` where there is no such moment."""
    with told_plainly():
        seq = (await status(log)).last_seq if text is None else await resolve(log, parse(text), datetime.now(UTC))
        return await as_of(log, seq)
