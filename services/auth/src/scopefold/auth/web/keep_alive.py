"""Keeps upstream tokens from dying unused, if the operator wants it: renews those that are near the IdP's limit.

Without it, a user who is away for longer than the limit (90 days at Atlassian) must consent again.
"""

import asyncio
from datetime import timedelta
from typing import Final

from scopefold.auth.web.renewal import NotRenewed, fresh
from scopefold.auth.web.service import Service, now
from scopefold.ledger.append import LogFull
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger

PASS_SECONDS: Final = 3600.0
AT_ONCE: Final = 500
"""Tokens of one pass, the nearest to their end first; what is left is the next pass's."""
log = logger(__name__)


async def keep_alive(service: Service) -> None:
    """Pass after pass, for ever; at once where the operator does not want it."""
    days = service.settings.keep_alive_days
    while days:
        if service.waiting_for is None and service.broken is None:
            await one_pass(service, timedelta(days=days))
        await asyncio.sleep(PASS_SECONDS)


async def one_pass(service: Service, ahead: timedelta) -> int:
    """Renew what dies unused within `ahead`; how many were renewed. Replicas may pass together: each finds what is
    left to do.
    """
    moment, done = now(), 0
    for idp_id, user in await service.projection.lying_idle((moment + ahead).timestamp(), AT_ONCE):
        idp = service.scopes.idps.get(idp_id)
        if idp is None or idp.registration is None:
            continue
        # Half of the IdP's own limit at most: else a token would be renewed at every pass.
        before = moment + min(ahead, timedelta(seconds=idp.profile.refresh.idle_seconds or 0) / 2)
        try:
            token = await fresh(service, user, idp, "", idle_before=before)
            done += token is not None and not token.cleared
        except NotRenewed as error:
            log.info("a token was not kept alive", idp=idp_id, reason=error.error)
        except (LogUnavailable, LogFull) as error:
            log.warning("tokens are not kept alive now", reason=str(error))
            break
    if done:
        log.info("kept tokens alive", renewed=done)
    return done
