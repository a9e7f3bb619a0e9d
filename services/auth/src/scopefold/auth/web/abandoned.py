"""Logins that ended on the IdP's own page: the browser never came back, and tries again.

Many IdPs tell a person what is wrong, such as a scope that the app lacks, and send the browser nowhere. That is known
here only when the same browser begins anew.
"""

from typing import Final

from scopefold.auth.core.login import never_came_back
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.records import Attempt, Latest
from scopefold.auth.web.failures import keep
from scopefold.auth.web.service import Service
from scopefold.auth.web.upstream import UpstreamFailed

NO_RETURN_ERROR: Final = "no_return"


async def note_begun(service: Service, attempt: Attempt, key: str) -> None:
    """Remember the browser's latest login at this IdP, and tell the log of the one before it if it never came back."""
    flows = service.bus.buckets.flows
    place = f"latest.{attempt.browser}.{attempt.idp}"
    found = await flows.get(place, Latest)
    if found is not None:
        before = await flows.get(f"attempt.{found[0].attempt}", Attempt)
        if before is not None and never_came_back(before[0].began_at, attempt.began_at):
            idp = service.scopes.idps[attempt.idp]
            await keep(service, idp, before[0], UpstreamFailed("authorize", NO_RETURN_ERROR))
    try:
        await flows.update(place, Latest(key), revision=found[1] if found else 0)
    except Taken:
        return  # another window was faster, and its login is the latest
