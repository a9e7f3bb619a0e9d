"""The log's events, without what is none and what is another tenant's: for whoever folds the log between two places."""

from collections.abc import AsyncIterator

from scopefold.contracts.recorded import Recorded, examine
from scopefold.contracts.subjects import idps_filter, user_filter
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import read


async def events(
    log: Log, tenant: str, *, after: int = 0, until: int, subject: str | None = None
) -> AsyncIterator[list[Recorded]]:
    """A tenant's events in parts, from one place to another, on subjects that match. Raises as `read`."""
    async for messages in read(log, after=after, until=until, subject=subject):
        found = [examine(message) for message in messages if message.seq <= until]
        yield [one for one in found if isinstance(one, Recorded) and one.tenant == tenant]


async def events_of_idps(log: Log, tenant: str, *, after: int = 0, until: int) -> list[Recorded]:
    """The events from one place to another that concern IdPs and connectors, in their order. Raises as `read`."""
    return [
        one async for part in events(log, tenant, after=after, until=until, subject=idps_filter(tenant)) for one in part
    ]


async def names_user(log: Log, tenant: str, user: str) -> bool:
    """Does any event name the user, whatever it says of them? Their shard is read until one does. Raises as `read`."""
    end, subject = (await status(log)).last_seq, user_filter(tenant, user, "*")
    async for part in events(log, tenant, until=end, subject=subject):
        if any(one.names(user) for one in part):
            return True
    return False


async def events_of_user(log: Log, tenant: str, user: str, idp: str, *, until: int) -> list[Recorded]:
    """The events of all IdPs and of one user at one of them, up to a place, in their order. Raises as `read`.

    The rest of the user's shard is read and left out.
    """
    found = await events_of_idps(log, tenant, until=until)
    async for part in events(log, tenant, until=until, subject=user_filter(tenant, user, idp)):
        found += [one for one in part if one.names(user)]
    return sorted(found, key=lambda one: one.seq)
