"""The admin API's way to leave scopes out of logins and to ask for them again, and the operator's standing order."""

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
from scopefold.auth.web.admin import idp_view, registered_idp
from scopefold.auth.web.login_log import PUBLISHER
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.settling import settle
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.trials import Trial
from scopefold.contracts.events import ScopesRestored, ScopesWithheld
from scopefold.ledger.append import AppendRefused, LogFull, NewEvent, append
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.web import json_body, json_response

MOVE_SECONDS: Final = 60.0
Decision = ScopesWithheld | ScopesRestored | Refused | None
log = logger(__name__)


async def withhold_scopes(request: Request) -> Response:
    """`POST /v1/idps/{idp}/withheld`"""
    command = await json_body(request, Withhold)
    return await _settled(request, lambda idp: withhold(idp, command))


async def restore_scopes(request: Request) -> Response:
    """`POST /v1/idps/{idp}/restored`"""
    service, command = service_of(request), await json_body(request, Restore)
    return await _settled(request, lambda idp: restore(idp, command, service.projection.ungiven(idp.idp)))


async def _settled(request: Request, decide: Callable[[Idp], Decision]) -> Response:
    """The IdP as it is after what was decided about it."""
    service = service_of(request)
    changed = await settle(service, lambda: decide(registered_idp(service.projection, request)))
    return json_response(idp_view(service, registered_idp(service.projection, request)), 201 if changed else 200)


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
