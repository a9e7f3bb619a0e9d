"""What an operator orders about an IdP: decided on all that the log says, and appended only if that is still so."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from scopefold.auth.core.idps import Refused
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.login_log import PUBLISHER
from scopefold.auth.web.service import Service, now
from scopefold.contracts.events import Event
from scopefold.contracts.subjects import idps_filter, tenant_filter
from scopefold.ledger.append import Conflict, Expected, NewEvent, append
from scopefold.ledger.log import LogUnavailable, last_seq_on
from scopefold.runtime.web import ProblemError

TRIES: Final = 8
FOLD_SECONDS: Final = 5.0


async def settle(
    service: Service, decide: Callable[[], Event | Refused | None], before: Callable[[], Awaitable[None]] | None = None
) -> bool:
    """Read, decide, append under what was read; again where others were faster. True once a new event is folded, False
    where everything is as ordered already.

    `before` is done before the event is appended, and where there is none. It may raise `Taken`, which is a reason to
    begin again. Raises `ProblemError` where the order is refused, `LogUnavailable` where it may be tried again.
    """
    log, tenant = service.bus.log, service.settings.tenant
    for _ in range(TRIES):
        last = await folded(service)
        decision = decide()
        if isinstance(decision, Refused):
            raise refusal(decision)
        try:
            if before is not None:
                await before()
            if decision is None:
                return False
            new, expected = NewEvent(secrets.token_hex(16), decision), Expected(idps_filter(tenant), last)
            await append(log, [new], tenant=tenant, publisher=PUBLISHER, now=now(), expected=expected)
        except (Conflict, Taken):
            continue
        await folded(service)
        return True
    raise LogUnavailable("others were faster at every try")


def refusal(refused: Refused) -> ProblemError:
    """A refused order, told to whoever gave it."""
    return ProblemError(422, refused.kind, refused.title, refused.detail)


async def folded(service: Service) -> int:
    """The last sequence that concerns an IdP, once it is folded. Raises `LogUnavailable`."""
    return await _folded(service, idps_filter(service.settings.tenant))


async def caught_up(service: Service) -> int:
    """The last sequence of all, once it is folded: for who looks at users, and may just have heard of a login.

    Raises `LogUnavailable`.
    """
    return await _folded(service, tenant_filter(service.settings.tenant))


async def _folded(service: Service, subjects: str) -> int:
    last = await last_seq_on(service.bus.log, subjects)
    if not await service.projection.reached(last, FOLD_SECONDS):
        raise LogUnavailable("the log is still being read")
    return last
