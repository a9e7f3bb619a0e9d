"""The page at the end of a login that needed no app: what the user allowed is enough for, and what is still missing."""

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.handout import grant_of
from scopefold.auth.core.login import Reason, lacking, reasons, worth_asking
from scopefold.auth.oauth.request import query_parameters
from scopefold.auth.store.records import Session
from scopefold.auth.web.connections import serves
from scopefold.auth.web.pages import error_page, page
from scopefold.auth.web.service import Service, service_of, session_of
from scopefold.auth.web.step_up import own_login

ENDED: Final = {
    "access_denied": "You did not allow the access at the identity provider. What needs it does not work for you "
    "until you do.",
    "login_required": "Another account logged in than the one that this was for, or the identity provider did not ask "
    "again who you are. Open the link again, and choose the right account there.",
}
BEGIN_AGAIN: Final = "Open the link again. If that does not help, tell whoever sent it to you."
"""What is shown of a login that failed: our own words, for an address can say anything."""


class Outcome(Struct, frozen=True):
    """What a user's token at an IdP is good for. `tells`: the IdP says what was granted.

    `reasons` are what another consent would bring, which begins at `address`; `waiting` what it would not.
    """

    title: str
    serves: tuple[str, ...]
    reasons: tuple[Reason, ...]
    waiting: tuple[str, ...]
    tells: bool
    address: str


async def connected(request: Request) -> Response:
    """`GET /account/connected`: the login is over, well or not. `state` is the resource type it was for, if any."""
    service = service_of(request)
    told = query_parameters(request.scope["query_string"])
    if "error" in told:
        code = told["error"] if told["error"] in ENDED else "login_failed"
        return error_page(400, "The login did not come to its end", ENDED.get(code, BEGIN_AGAIN), code=code)
    session = await session_of(request)
    found = await _outcome(service, session, told.get("state", "")) if session is not None else None
    lacks = found is not None and (found.reasons or found.waiting)
    return page("connected", title="Some access is still missing" if lacks else "Done", found=found)


async def _outcome(service: Service, session: Session, resource: str) -> Outcome | None:
    """As the vault has it now, for the resource type's connector, else for all that the IdP last used is needed for."""
    named = service.scopes.routes.get(resource)
    idp = service.scopes.idps.get(named if named in session.idps else session.idps[-1])
    stored = await service.bus.vault.token(session.user, idp.idp) if idp is not None else None
    if idp is None or stored is None or stored[0].cleared:
        return None
    held = await service.projection.held(idp.idp, session.user)
    grant = grant_of(idp, stored[0], held)
    lacks = lacking(idp, grant, [resource])
    mine = worth_asking(idp, lacks, ())
    again = {"resource": resource, "state": resource} if resource in idp.connectors else {"idp_hint": idp.idp}
    return Outcome(
        title=idp.profile.title,
        serves=serves(idp, grant),
        reasons=reasons(mine),
        waiting=tuple(lack.scope for lack in lacks if lack not in mine),
        tells=grant.scopes is not None,
        address=own_login(service, prompt="consent", **again),
    )
