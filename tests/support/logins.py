"""Logins under way, as a test makes them look older than they are."""

from datetime import timedelta

from msgspec.structs import replace

from scopefold.auth.store import buckets
from scopefold.auth.store.records import Attempt, attempts_of
from scopefold.ledger.log import Log


async def long_ago(log: Log, idp: str) -> None:
    """Let the logins under way at an IdP have begun a minute ago: of each browser the last, if it is not over."""
    flows = (await buckets.connect(log.js)).flows
    for key in await flows.keys("attempt.>"):
        found = await flows.get(key, Attempt)
        if found is None or found[0].idp != idp:
            continue
        last = await flows.last_below(attempts_of(found[0].browser, idp), Attempt)
        if last is not None and last.attempt == found[0].attempt:
            began = replace(found[0], began_at=found[0].began_at - timedelta(minutes=1))
            await flows.update(key, began, revision=found[1])
