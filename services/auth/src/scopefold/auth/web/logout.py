"""RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0), and logging out by the user's own click."""

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.redirects import shown_place
from scopefold.auth.oauth.logout import LogoutAsked, logout_asked
from scopefold.auth.oauth.own_tokens import Hint, read_hint
from scopefold.auth.oauth.request import form_parameters, single_parameters
from scopefold.auth.store.records import Client, Session
from scopefold.auth.web.browser import take_session
from scopefold.auth.web.ending import end_session, end_sessions
from scopefold.auth.web.forms import form_token, own_form
from scopefold.auth.web.pages import page, redirect
from scopefold.auth.web.service import Service, service_of, session_of
from scopefold.runtime.web import limited_body


async def logout(request: Request) -> Response:
    """`GET` or `POST /oauth2/logout`: at once with a hint that fits, else after a question."""
    service = service_of(request)
    service.limits.logins.take(service.limits.address(request))  # an app may be described where we must look
    if request.method == "POST":
        parameters = form_parameters(await limited_body(request))
    else:
        parameters = single_parameters(request.query_params.multi_items())
    text = parameters.get("id_token_hint")
    hint = read_hint(service.bus.keys, service.issuer, text) if text else None
    named = parameters.get("client_id") or (hint.audience[0] if hint is not None and hint.audience else "")
    client = await service.clients.get(named)
    asked = logout_asked(service.loaded(client), parameters, hint)
    session = await session_of(request)
    if session is not None and not _fits(hint, session):
        return page("logout", forms=True, title="Log out?", form_token=form_token(service, session))
    return await _ended(service, asked, session, client)


def _fits(hint: Hint | None, session: Session) -> bool:
    """Does the hint speak of the user of this browser? A site that has another's must not log this one out."""
    return hint is not None and hint.subject == session.user


async def _ended(service: Service, asked: LogoutAsked, session: Session | None, client: Client | None) -> Response:
    """End the session of the browser, and the one that the hint names: a form from another site shows no cookie.

    To a client that nobody vouches for only who was logged in in this browser goes on by themselves; for others a link
    of ours would only lead to an address that anybody could register, with a hint of whoever registered it.
    """
    ending = {(session.user, session.sid)} if session is not None else set()
    if asked.hint is not None and asked.hint.sid:
        ending.add((asked.hint.subject, asked.hint.sid))
    await end_sessions(service, ending)
    stranger = client is not None and client.is_unknown and session is None
    response = redirect(asked.redirect_uri) if asked.redirect_uri and not stranger else logged_out(asked.redirect_uri)
    take_session(response)
    return response


async def logout_confirmed(request: Request) -> Response:
    """`POST /account/logout`: the user's own click."""
    session = await own_form(request)
    await end_session(service_of(request), session.user, session.sid)
    response = logged_out()
    take_session(response)
    return response


def logged_out(back: str | None = None) -> Response:
    """The page at the end; `back` is where an app would have the person next."""
    leads_to = shown_place(back) if back else ""
    return page("logged_out", title="You are logged out", back=back, leads_to=leads_to)
