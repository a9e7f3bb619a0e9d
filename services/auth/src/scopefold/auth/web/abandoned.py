"""Logins that ended on the IdP's own page: the browser never came back, and tries again.

Many IdPs tell a person what is wrong, such as a scope that the app lacks, and send the browser nowhere. That is known
here only when the same browser begins anew.
"""

from typing import Final

from scopefold.auth.core.login import never_came_back
from scopefold.auth.store.records import Attempt, attempts_of
from scopefold.auth.web.failures import keep
from scopefold.auth.web.service import Service
from scopefold.auth.web.upstream import UpstreamFailed

NO_RETURN_ERROR: Final = "no_return"


async def note_abandoned(service: Service, attempt: Attempt) -> None:
    """Tell the log of the browser's login before this one at the same IdP, if it never came back."""
    before = await service.bus.buckets.flows.last_below(attempts_of(attempt.browser, attempt.idp), Attempt)
    if before is not None and never_came_back(before.began_at, attempt.began_at):
        idp = service.scopes.idp(attempt.idp)
        await keep(service, idp, before, UpstreamFailed("authorize", NO_RETURN_ERROR))
