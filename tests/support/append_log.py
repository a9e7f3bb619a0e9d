"""A log that was made by a seed, appended to a bus."""

import itertools
from collections.abc import Iterable

from scopefold.contracts.recorded import Recorded
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from tests.support.logs import START


async def append_log(log: Log, events: Iterable[Recorded]) -> None:
    """Append these events in their order, each by its publisher. Their ids differ."""
    for publisher, some in itertools.groupby(events, lambda one: one.publisher):
        new = [NewEvent(one.event_id, one.event) for one in some]
        await append(log, new, tenant="default", publisher=publisher, now=START)
