"""`DELETE /v1/users/{user}`: a user is erased, in steps that can be cut off anywhere and begun again.

It is noted first that the user is being erased, so that nothing more can be sealed for them. What was granted ends,
providers are asked to end their tokens, and what leads from the upstream account to the user goes while it can still be
read what that account is. Then the data key is destroyed, with it everything that it sealed, and the log is told last.
"""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.login import user_erased_id
from scopefold.auth.store.data_keys import Erasure
from scopefold.auth.store.removal import drop
from scopefold.auth.web.ending import end_sessions
from scopefold.auth.web.login_log import write
from scopefold.auth.web.revoking import Outcome, revoke
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.users import unknown, user_in
from scopefold.contracts.events import UserErased
from scopefold.contracts.subjects import tenant_filter
from scopefold.ledger.append import NewEvent
from scopefold.ledger.log import last_seq_on
from scopefold.runtime.crash import crash_point
from scopefold.runtime.logs import logger
from scopefold.runtime.web import json_response

FOLD_SECONDS = 5.0
log = logger(__name__)


class ErasedUser(Struct, frozen=True, kw_only=True):
    """A user of whom nothing is left here but an id that stands for nobody."""

    user: str
    idps: Annotated[tuple[str, ...], Meta(description="Where the user was known.")]
    sessions: Annotated[int, Meta(description="How many sessions ended.")]
    revoked: Annotated[
        dict[str, Outcome],
        Meta(description="By IdP that we held tokens of: it ended them, it has no way to, it did not confirm in time."),
    ]


async def erase_user(request: Request) -> Response:
    """`DELETE /v1/users/{user}`"""
    service, user = service_of(request), user_in(request)
    vault = service.bus.vault
    erasure = await _begun(service, user)
    sessions = await _end_all(service, user)
    crash_point("erasing.ended")
    revoked = await _upstream(service, user, erasure)
    crash_point("erasing.unlinked")
    await vault.destroy(user)
    crash_point("erasing.destroyed")
    sessions += await _end_all(service, user)  # of logins that were past the vault when it began
    if erasure.idps:
        await write(service, *(_event(service, user, idp) for idp in erasure.idps))
    crash_point("erasing.told")
    last = await last_seq_on(service.bus.log, tenant_filter(service.settings.tenant))
    await service.projection.reached(last, FOLD_SECONDS)
    await vault.leave_no_trace(user)
    await vault.note_erasure(user, replace(erasure, done=True))
    log.warning("an operator erased a user", user=user, idps=erasure.idps)
    return json_response(ErasedUser(user=user, idps=erasure.idps, sessions=sessions, revoked=revoked))


async def _begun(service: Service, user: str) -> Erasure:
    """The note that the user is being erased, and where they are known; what an earlier one knew is in it.

    Raises `ProblemError` where nobody has this id.
    """
    vault = service.bus.vault
    before = await vault.erasure(user)
    in_log = [idp for idp in service.scopes.idps if await service.projection.held(idp, user) is not None]
    if before is None and not in_log and not await vault.knows(user):
        raise unknown()
    known = {*(before.idps if before else ()), *in_log, *await vault.idps_of(user)}
    erasure = Erasure(tuple(sorted(known)), before.at if before else now())
    await vault.note_erasure(user, erasure)
    return erasure


async def _end_all(service: Service, user: str) -> int:
    """End what apps were granted, sessions and consents; how many sessions there were."""
    await service.bus.grants.end_user(user, now())
    found = await service.bus.sessions.all_of(user, now())
    ended = await end_sessions(service, [(user, session.sid) for session in found])
    consents = service.bus.buckets.consents
    for key in await consents.keys(f"{user}.*"):
        await drop(consents, key)
    return len(ended)


async def _upstream(service: Service, user: str, erasure: Erasure) -> dict[str, Outcome]:
    """Give tokens back, and forget whose the accounts are. Where the data key has gone, this was done before."""
    vault, outcomes = service.bus.vault, dict[str, Outcome]()
    for idp in erasure.idps:
        found = await vault.token(user, idp)
        if found is None:
            continue
        row = found[0]
        if not row.cleared:
            outcomes[idp] = await revoke(service, idp, row)
        await vault.unlink(user, idp, row.identity.subject)
    return outcomes


def _event(service: Service, user: str, idp: str) -> NewEvent:
    event = UserErased(user=user, idp=idp)
    return NewEvent(user_erased_id(service.settings.tenant, event), event)
