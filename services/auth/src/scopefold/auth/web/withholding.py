"""The admin API's way to leave scopes out of logins and to ask for them again, and the operator's standing order."""

import secrets
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.withholding import (
    Restore,
    Withhold,
    by_policy,
    policy_event_id,
    restore,
    suspects,
    withhold,
)
from scopefold.auth.web.admin import FOLD_SECONDS, TRIES, idp_view, registered_idp
from scopefold.auth.web.login_log import PUBLISHER
from scopefold.auth.web.service import Service, now, service_of
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.trials import Trial
from scopefold.contracts.events import ScopesRestored, ScopesWithheld
from scopefold.contracts.subjects import idps_filter
from scopefold.ledger.append import AppendRefused, Conflict, Expected, LogFull, NewEvent, append
from scopefold.ledger.log import LogUnavailable, last_seq_on
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_body, json_response

MOVE_SECONDS: Final = 60.0
Decision = ScopesWithheld | ScopesRestored | Refused | None
log = logger(__name__)


async def withhold_scopes(request: Request) -> Response:
    """`POST /v1/idps/{idp}/withheld`"""
    command = await json_body(request, Withhold)
    return await _settle(request, lambda idp: withhold(idp, command))


async def restore_scopes(request: Request) -> Response:
    """`POST /v1/idps/{idp}/restored`"""
    service, command = service_of(request), await json_body(request, Restore)
    return await _settle(request, lambda idp: restore(idp, command, service.projection.ungiven(idp.idp)))


async def _settle(request: Request, decide: Callable[[Idp], Decision]) -> Response:
    """Read, decide, append under what was read; again where others were faster. The IdP as it then is."""
    service = service_of(request)
    ledger, tenant = service.bus.log, service.settings.tenant
    for _ in range(TRIES):
        last = await _folded(service)
        decision = decide(idp := registered_idp(service, request))
        if isinstance(decision, Refused):
            raise ProblemError(422, decision.kind, decision.title, decision.detail)
        if decision is None:
            return json_response(idp_view(service, idp))
        try:
            new, expected = NewEvent(secrets.token_hex(16), decision), Expected(idps_filter(tenant), last)
            await append(ledger, [new], tenant=tenant, publisher=PUBLISHER, now=now(), expected=expected)
        except Conflict:
            continue
        await _folded(service)
        return json_response(idp_view(service, registered_idp(service, request)), 201)
    raise LogUnavailable("others were faster at every try")


async def _folded(service: Service) -> int:
    """The last sequence that concerns an IdP, once it is folded."""
    last = await last_seq_on(service.bus.log, idps_filter(service.settings.tenant))
    if not await service.projection.reached(last, FOLD_SECONDS):
        raise LogUnavailable("the log is still being read")
    return last


async def keep_watch(service: Service) -> None:
    """Tell the operator of every suspect once, and do what the standing order says. Ends with the process."""
    told: set[str] = set()
    seen = 0
    while True:
        await service.projection.reached(seen + 1, MOVE_SECONDS)
        seen = max(seen, service.projection.checkpoint.seq if service.projection.checkpoint else 0)
        if service.waiting_for is not None or service.broken is not None:
            continue  # what is suspect half-way through the log may have been acquitted since
        for idp in service.scopes.idps.values():
            for trial in suspects(idp):
                if trial.cause.event_id not in told and await _told(service, idp, trial):
                    told.add(trial.cause.event_id)


async def _told(service: Service, idp: Idp, trial: Trial) -> bool:
    """False where it must be tried again, when the log has moved on."""
    event = by_policy(idp, trial) if service.settings.on_suspect == "withhold" else None
    log.warning(
        "logins fail since a connector was provisioned",
        idp=idp.idp,
        connector=trial.connector,
        scopes=trial.scopes,
        failed=len(trial.failed),
        error=trial.last_error,
        withheld=event is not None,
        what_to_do=f"scopefold idp doctor {idp.idp}",
    )
    if event is None:
        return True
    tenant = service.settings.tenant
    new = NewEvent(policy_event_id(tenant, trial), event)
    try:
        await append(service.bus.log, [new], tenant=tenant, publisher=PUBLISHER, now=now())
    except (LogUnavailable, LogFull, AppendRefused) as error:
        log.warning("cannot withhold scopes yet", idp=idp.idp, reason=str(error))
        return False
    return True
