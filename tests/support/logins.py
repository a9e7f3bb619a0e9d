"""Logins under way, as a test makes them look older than they are."""

from datetime import timedelta

from scopefold.auth.store import buckets
from scopefold.auth.store.records import Attempt
from scopefold.ledger.log import Log


async def long_ago(log: Log, idp: str) -> None:
    """Let the logins under way at an IdP have begun a minute ago."""
    flows = (await buckets.connect(log.js)).flows
    for key in [key for key in await flows.keys() if key.startswith("attempt.")]:
        found = await flows.get(key, Attempt)
        if found is not None and found[0].idp == idp:
            began = found[0].began_at - timedelta(minutes=1)
            fields = {name: getattr(found[0], name) for name in Attempt.__struct_fields__}
            await flows.update(key, Attempt(**{**fields, "began_at": began}), revision=found[1])
