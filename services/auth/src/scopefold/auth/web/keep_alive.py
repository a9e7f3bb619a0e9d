"""Keeps upstream tokens from dying unused, if the operator wants it: renews those that are near the IdP's limit.

Without it, a user who is away for longer than the limit (90 days at Atlassian) must consent again.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Final

from scopefold.auth.store.database import StoreAway
from scopefold.auth.store.projection import Idle
from scopefold.auth.web.login_log import heal
from scopefold.auth.web.renewal import NotRenewed, WantsUser, fresh
from scopefold.auth.web.service import Service, now
from scopefold.consent.idp_scopes import Idp
from scopefold.ledger.append import LogFull
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger

PASS_SECONDS: Final = 3600.0
LOOK_AGAIN_SECONDS: Final = 2.0
BROKEN_OFF_SECONDS: Final = 30.0
"""After so long a pass goes on that the bus or the projection broke off, if they are back."""
AT_ONCE: Final = 500
MOST_PAGES: Final = 10
"""A pass looks at so many times `AT_ONCE` tokens, the nearest to their end first; the next pass goes on behind them."""
MOST_FAILURES: Final = 3
"""An IdP that fails so often in one pass is left alone until the next: others' tokens must not wait for it."""
BEGINNING: Final[Idle] = (0.0, "", "")
log = logger(__name__)


async def keep_alive(service: Service) -> None:
    """Pass after pass, for ever; at once where the operator does not want it."""
    after, days = BEGINNING, service.settings.keep_alive_days
    while days:
        try:
            service.check_ready()
        except LogUnavailable:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            continue
        pause = PASS_SECONDS
        try:
            after, pause = await one_pass(service, timedelta(days=days), after)
        except Exception as error:  # who stopped passing without a word would let every token die
            log.error("tokens are not kept alive", error=type(error).__name__, exc_info=error)
        await asyncio.sleep(pause)


async def one_pass(service: Service, ahead: timedelta, after: Idle) -> tuple[Idle, float]:
    """Renew what dies unused within `ahead` and lies behind `after`; where the next pass goes on, and after how many
    seconds.

    Replicas may pass together: each finds what is left to do.
    """
    moment, done, failures = now(), 0, Counter[str]()
    for _ in range(MOST_PAGES):
        try:
            page = await service.projection.lying_idle((moment + ahead).timestamp(), AT_ONCE, after)
        except StoreAway as error:
            return _broken_off(error, after)
        for end, idp_id, user in page:
            before_it, after = after, (end, idp_id, user)
            idp = service.scopes.idps.get(idp_id)
            if idp is None or idp.registration is None or failures[idp_id] >= MOST_FAILURES:
                continue
            before = moment + _ahead(idp, ahead)
            if end >= before.timestamp():
                continue
            try:
                token = await fresh(service, user, idp, "", idle_before=before)
                # The log may not know of it: of a renewal whose event the bus did not take. Who is away does not call.
                done += token is not None and await heal(service, user, idp_id, token)
            except WantsUser:
                continue  # nothing is wrong with the IdP
            except NotRenewed as error:
                failures[idp_id] += 1
                log.info("a token was not kept alive", idp=idp_id, reason=error.error)
            except (LogUnavailable, LogFull, StoreAway) as error:
                return _broken_off(error, before_it)
            except Exception as error:  # one row that cannot be worked with must not let all behind it die
                log.error("a token cannot be kept alive", idp=idp_id, error=type(error).__name__, exc_info=error)
        if len(page) < AT_ONCE:
            after = BEGINNING
            break
    if done:
        log.info("kept tokens alive", renewed=done)
    return after, PASS_SECONDS


def _broken_off(error: Exception, after: Idle) -> tuple[Idle, float]:
    """Where the next pass goes on: with the very token. A log that is full waits for an operator."""
    log.warning("tokens are not kept alive now", reason=str(error))
    return after, PASS_SECONDS if isinstance(error, LogFull) else BROKEN_OFF_SECONDS


def _ahead(idp: Idp, ahead: timedelta) -> timedelta:
    """How long before its end a token is renewed: half of the IdP's own limit at most, or it would be at every pass."""
    return min(ahead, timedelta(seconds=idp.profile.refresh.idle_seconds or 0) / 2)
