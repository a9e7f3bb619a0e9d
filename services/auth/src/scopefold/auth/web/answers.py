"""How a login ends: a code for the client, or an error that the client is told of, or one that is shown."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import read
from scopefold.auth.core.redirects import shown_place
from scopefold.auth.oauth.claims import permitted
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.server import issue_code
from scopefold.auth.store.buckets import hashed
from scopefold.auth.store.database import StoreAway
from scopefold.auth.store.records import Client
from scopefold.auth.web.pages import error_page, page, wants_page, wants_problem
from scopefold.auth.web.pushed import use_up
from scopefold.auth.web.service import Service, service_of
from scopefold.auth.web.unknown_app import stranger
from scopefold.auth.web.way_back import WayBack, send_back, way_back
from scopefold.ledger.append import AppendRefused, LogFull
from scopefold.ledger.log import LogNotDeclared, LogUnavailable
from scopefold.runtime.web import ProblemError, failure_of, problem_of, problem_response
from scopefold.scopes.diagnosis import Facts, Failure, diagnose
from scopefold.scopes.errors import Paste
from scopefold.scopes.profile import PLAIN

BAD_REQUEST: Final = "app.bad-request"
_ADDRESS_OF: Final = {
    "app.redirect-unregistered": "redirect_uri",
    "app.logout-unregistered": "post_logout_redirect_uri",
}
"""By diagnosis, the parameter with the address that is to be registered."""
MAX_SHOWN: Final = 300
_QUOTED: Final = re.compile(r"""'[^']*'|"[^"]*\"""")


async def with_code(
    service: Service, client: Client | None, parameters: Mapping[str, str], user: GrantedUser
) -> Response:
    """Back to the client with a code, its state, and who issued it (RFC 6749, section 4.1.2; RFC 9207).

    `client` is the one that the caller judged: what it has changed since counts for its next request.
    """
    claims = permitted(read(parameters).claims, client.scopes if client is not None else ())
    loaded = service.loaded(client)
    loaded.pushed = "request_uri" in parameters  # only what was resolved comes so far
    code, stored = issue_code(loaded, parameters, replace(user, claims=claims))
    await use_up(service, parameters)
    await service.bus.buckets.flows.create(f"code.{hashed(code)}", stored)
    state = [("state", parameters["state"])] if parameters.get("state") else []
    told = [("code", code), *state, ("iss", service.issuer)]
    return send_back(way_back(parameters["redirect_uri"], parameters, told))


def with_error(service: Service, error: RedirectedError) -> WayBack:
    """Back to the client with an error, its state, and who says so (RFC 6749, section 4.1.2.1; RFC 9207)."""
    told = [("error", error.error), ("error_description", error.description)]
    if error.state is not None:
        told.append(("state", error.state))
    return way_back(error.redirect_uri, error.parameters, [*told, ("iss", service.issuer)])


async def redirected(request: Request, error: Exception) -> Response:
    """Answers a `RedirectedError`: at once where somebody vouches for the client, with `prompt=none` or without.

    To any other a person goes who wants to (RFC 9700, section 4.11.2). Anybody could register an address, and send
    people there by a link to us with something wrong in it, or with `prompt=none` alone.
    """
    assert isinstance(error, RedirectedError)
    service = service_of(request)
    back = with_error(service, error)
    try:
        app = await stranger(service, request, {**error.parameters, "redirect_uri": error.redirect_uri})
    except AWAY as away_error:
        return await away(request, away_error)
    if app is None:
        return send_back(back)
    return page(
        "not_logged_in",
        400,
        title="You were not logged in",
        app=app,
        leads_to=shown_place(error.redirect_uri),
        why=error.description,
        code=error.error,
        back=back,
        posts_to=back.posts_to,
    )


async def shown(request: Request, error: Exception) -> Response:
    """Answers a `ShownError`: mostly the app's mistake, which only its developers and the operator can mend."""
    assert isinstance(error, ShownError)
    title = f"This {'logout' if request.url.path.endswith('/logout') else 'login'} cannot go on"
    text = f"The app that sent you here asked in a way that cannot be answered. {error.description}"
    told = _QUOTED.sub("", error.description)  # by what we say, not by what was sent
    found = diagnose(PLAIN, Failure("app", error.error, told, 400), Facts(idp=""))
    known = found if found.id.startswith(("app.", "login.")) else None
    if known is not None and (name := _ADDRESS_OF.get(known.id)) and (sent := request.query_params.get(name)):
        known = replace(known, paste=(*known.paste, Paste("The address that the app sent", sent[:MAX_SHOWN])))
    if wants_problem(request):
        return problem_response(ProblemError(400, "login-refused", title, text, error=error.error, diagnosis=known))
    if known is None or known.id == BAD_REQUEST:
        known = None  # who runs Scopefold cannot mend it
        text += " Go back to the app and begin again; where that does not help, show this page to whoever runs the app."
    elif known.who == "user":
        text = error.description
    return error_page(400, title, text, code=error.error, diagnosis=known)


NOT_HERE: Final = {
    404: "No page of this service has this address: it is mistyped, or a link or bookmark is old. "
    "Go back to the app that you came from, and begin again there.",
    405: "This address cannot be opened by itself: it belongs to a step that is over, or is there for programs. "
    "Go back to the app that you came from, and begin again there.",
}


async def refused(request: Request, error: Exception) -> Response:
    """Answers what the framework or a handler refuses: problem+json, but where nothing is, a page for browsers."""
    found = problem_of(request, error) if isinstance(error, HTTPException) else error
    assert isinstance(found, ProblemError)
    if found.status not in NOT_HERE or not wants_page(request):
        return problem_response(found)
    text = NOT_HERE[found.status] if found is not error else found.body.get("detail", "")
    response = error_page(found.status, found.body["title"], text, code=found.kind)
    response.headers.update(found.headers)
    return response


async def failed(request: Request, error: Exception) -> Response:
    """Answers what nobody foresaw: problem+json, and a page for browsers. Neither says what it was."""
    found = failure_of(request, error)
    if not wants_page(request):
        return problem_response(found)
    text = "It was logged. Go back to the app that you came from, and begin again there. If it stays, tell whoever "
    text += f"runs this service that {request.url.path} failed, and when."
    return error_page(found.status, found.body["title"], text, code=found.kind)


async def away(request: Request, error: Exception) -> Response:
    """Answers for a bus that is away or full: to programs as problem+json (by the caller), to people as a page."""
    full = isinstance(error, LogFull | AppendRefused)
    service_of(request).tell_refusal(request.url.path, error)
    title = "Logins are paused" if full else "Not ready yet"
    text = (
        "The log cannot take new events; an operator must look after it."
        if full
        else "A part of this service is away. It comes back by itself: try again in a moment."
    )
    if "/oauth2/callback" in request.url.path:  # what the IdP sent is good for one try
        text += " Begin where you began before: in the app, or with the link that you were sent."
    response = error_page(503, title, text, code="temporarily_unavailable")
    response.headers["retry-after"] = "2"
    return response


AWAY: Final = (LogUnavailable, LogNotDeclared, LogFull, AppendRefused, StoreAway)
"""What may pass by itself."""
