"""What users see of their upstream tokens: with which IdPs they are connected and what for, and how to end that."""

from datetime import datetime

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.stored_token import StoredToken
from scopefold.auth.store.records import Session
from scopefold.auth.web.account import not_logged_in
from scopefold.auth.web.clearing import clear_present
from scopefold.auth.web.forms import Forged, form_token, own_form
from scopefold.auth.web.pages import page
from scopefold.auth.web.revoking import Outcome, revoke
from scopefold.auth.web.service import Service, now, service_of, session_of
from scopefold.consent.idp_scopes import Idp
from scopefold.runtime.logs import logger
from scopefold.scopes.coverage import Grant, Missing, covers

log = logger(__name__)


class Connection(Struct, frozen=True):
    """An IdP that holds a consent of the user's, and that we hold a token of."""

    idp: str
    title: str
    account: str
    """As whom, where the IdP told an address or a name."""
    since: datetime | None
    serves: tuple[str, ...]
    """Names of connectors that the grant is enough for."""


class Ended(Struct, frozen=True):
    """What became of a connection that its user ended."""

    title: str
    outcome: Outcome
    by_hand: str


async def connections(request: Request) -> Response:
    """`GET /account/connections`"""
    service, session = service_of(request), await session_of(request)
    return await _page(service, session, None) if session is not None else not_logged_in()


async def disconnect(request: Request) -> Response:
    """`POST /account/connections/{idp}/disconnect`: the user's own token there is cleared, and given back.

    Who takes everything back from an IdP has taken something back, so what apps were granted until now is over.
    """
    session, service = await own_form(request), service_of(request)
    idp = service.scopes.idps.get(request.path_params["idp"])
    if idp is None:
        raise Forged
    await service.bus.grants.end_user(session.user, now())
    before = await clear_present(service, session.user, idp.idp, "user")
    if before is None:
        return await _page(service, session, None)
    log.info("a user disconnected", user=session.user, idp=idp.idp)
    outcome = await revoke(service, idp.idp, before)
    return await _page(service, session, Ended(idp.profile.title, outcome, idp.profile.revocation.by_hand))


async def _page(service: Service, session: Session, ended: Ended | None) -> Response:
    found = [await _connection(service, session.user, idp) for _, idp in sorted(service.scopes.idps.items())]
    return page(
        "connections",
        forms=True,
        title="What you are connected with",
        form_token=form_token(service, session),
        connections=[one for one in found if one is not None],
        ended=ended,
        path=service.path,
    )


async def _connection(service: Service, user: str, idp: Idp) -> Connection | None:
    """As the vault has it now: the log tells since when, and may be a moment behind."""
    found = await service.bus.vault.token(user, idp.idp)
    if found is None or found[0].cleared:
        return None
    held = await service.projection.held(idp.idp, user)
    return Connection(
        idp.idp,
        idp.profile.title,
        _account(found[0]),
        held.stored.at if held is not None else None,
        serves(idp, held.grant) if held is not None else (),
    )


def _account(row: StoredToken) -> str:
    return row.identity.email or row.identity.preferred_username or row.identity.name or ""


def serves(idp: Idp, grant: Grant) -> tuple[str, ...]:
    """What a grant is enough for: titles of connectors. What is not known to be lacking is taken to be there."""
    enough = [
        one.title
        for _, one in sorted(idp.connectors.items())
        if not isinstance(covers(idp.profile, grant, one.upstream_scopes), Missing)
    ]
    return tuple(dict.fromkeys(enough))
