"""What users see of their own: where they are logged in, and how to end that."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.records import Session
from scopefold.auth.store.sessions import SessionId
from scopefold.auth.web.browser import take_session
from scopefold.auth.web.ending import end_session
from scopefold.auth.web.forms import Forged, form_token, own_form
from scopefold.auth.web.logout import logged_out
from scopefold.auth.web.pages import error_page, page, redirect
from scopefold.auth.web.service import Service, now, service_of, session_of


async def sessions(request: Request) -> Response:
    """`GET /account/sessions`"""
    service, session = service_of(request), await session_of(request)
    if session is None:
        return not_logged_in()
    found = await service.bus.sessions.all_of(session.user, now())
    return page(
        "sessions",
        forms=True,
        title="Where you are logged in",
        form_token=form_token(service, session),
        sessions=[(one, await _apps(service, one), _idps(service, one)) for one in found],
        here=session.sid,
        path=service.path,
    )


def not_logged_in() -> Response:
    """For who opens a page of their own without being anybody here."""
    text = "This page is for people who are logged in. Open one of your apps and log in there, then come back."
    return error_page(401, "You are not logged in", text, code="login_required")


async def revoke_session(request: Request) -> Response:
    """`POST /account/sessions/{sid}/revoke`: one of the user's own, and nobody else's."""
    session, service = await own_form(request), service_of(request)
    try:
        sid = msgspec.convert(request.path_params["sid"], SessionId)
    except msgspec.ValidationError:
        raise Forged from None
    await end_session(service, session.user, sid)
    if sid != session.sid:
        return redirect(f"{service.path}/account/sessions")
    response = logged_out()
    take_session(response)
    return response


async def forged(request: Request, _: Exception) -> Response:
    """Answers a `Forged` form."""
    text = "This page was open for too long, or the click did not come from it. Nothing was changed."
    link = ("Back", f"{service_of(request).path}/account/sessions")
    return error_page(403, "That did not come from our page", text, code="bad_form", link=link)


async def _apps(service: Service, session: Session) -> list[str]:
    """The names of the apps that the session logged in to."""
    found = [await service.clients.get(client) for client in session.clients]
    return [client.client_name for client in found if client is not None]


def _idps(service: Service, session: Session) -> list[str]:
    known = service.scopes.idps
    return [known[idp].profile.title if idp in known else idp for idp in session.idps]
