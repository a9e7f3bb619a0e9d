"""How a login ends: a code for the client, or an error that the client is told of, or one that is shown."""

from collections.abc import Mapping
from typing import Final

from authlib.common.urls import add_params_to_uri
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import read
from scopefold.auth.oauth.claims import permitted
from scopefold.auth.oauth.loaded import GrantedUser
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.oauth.server import issue_code
from scopefold.auth.store.buckets import hashed
from scopefold.auth.web.pages import error_page, redirect, wants_problem
from scopefold.auth.web.pushed import use_up
from scopefold.auth.web.service import Service, service_of
from scopefold.ledger.append import AppendRefused, LogFull
from scopefold.ledger.log import LogNotDeclared, LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, problem_response
from scopefold.scopes.diagnosis import Facts, Failure, diagnose
from scopefold.scopes.errors import Paste
from scopefold.scopes.profile import PLAIN

REDIRECT_UNREGISTERED: Final = "app.redirect-unregistered"
MAX_SHOWN: Final = 300
log = logger(__name__)


async def with_code(service: Service, parameters: Mapping[str, str], user: GrantedUser) -> Response:
    """Back to the client with a code, its state, and who issued it (RFC 9207)."""
    client = await service.clients.get(parameters.get("client_id", ""))
    claims = permitted(read(parameters).claims, client.scopes if client is not None else ())
    loaded = service.loaded(client)
    loaded.pushed = "request_uri" in parameters  # only what was resolved comes so far
    address, code, stored = issue_code(loaded, parameters, replace(user, claims=claims))
    await use_up(service, parameters)
    await service.bus.buckets.flows.create(f"code.{hashed(code)}", stored)
    return redirect(add_params_to_uri(address, [("iss", service.issuer)]))


def error_address(service: Service, error: RedirectedError) -> str:
    """Back to the client with an error, its state, and who says so (RFC 6749, section 4.1.2.1; RFC 9207)."""
    told = [("error", error.error), ("error_description", error.description)]
    if error.state is not None:
        told.append(("state", error.state))
    return str(add_params_to_uri(error.redirect_uri, [*told, ("iss", service.issuer)]))


async def redirected(request: Request, error: Exception) -> Response:
    """Answers a `RedirectedError`."""
    assert isinstance(error, RedirectedError)
    return redirect(error_address(service_of(request), error))


async def shown(request: Request, error: Exception) -> Response:
    """Answers a `ShownError`: mostly the app's mistake, which only its developers and the operator can mend."""
    assert isinstance(error, ShownError)
    title = "This login cannot go on"
    text = f"The app that sent you here asked in a way that cannot be answered. {error.description}"
    found = diagnose(PLAIN, Failure("app", error.error, error.description, 400), Facts(idp=""))
    known = found if found.id.startswith(("app.", "login.")) else None
    if known is not None and known.id == REDIRECT_UNREGISTERED:
        sent = request.query_params.get("redirect_uri", "")[:MAX_SHOWN]
        known = replace(known, paste=(*known.paste, Paste("The address that the app sent", sent)))
    if wants_problem(request):
        return problem_response(ProblemError(400, "login-refused", title, text, error=error.error, diagnosis=known))
    if known is not None and known.who == "user":
        text = error.description
    return error_page(400, title, text, code=error.error, diagnosis=known)


async def away(request: Request, error: Exception) -> Response:
    """Answers for a bus that is away or full: to programs as problem+json (by the caller), to people as a page."""
    full = isinstance(error, LogFull | AppendRefused)
    log.warning("request refused", path=request.url.path, reason=str(error))
    title = "Logins are paused" if full else "Not ready yet"
    text = (
        "The log cannot take new events; an operator must look after it."
        if full
        else ("A part of this service is away. It comes back by itself: try again in a moment.")
    )
    response = error_page(503, title, text, code="temporarily_unavailable")
    response.headers["retry-after"] = "2"
    return response


AWAY = (LogUnavailable, LogNotDeclared, LogFull, AppendRefused)
