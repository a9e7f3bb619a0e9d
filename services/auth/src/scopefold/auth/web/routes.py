"""Every route of the auth service, and how what goes wrong is told there."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from scopefold.auth.core.seal import UnknownKek
from scopefold.auth.oauth.protected import AccessRefused
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.web import (
    account,
    answers,
    connections,
    failures,
    metadata,
    protected,
    reconsent_link,
    registration,
    step_up,
)
from scopefold.auth.web.admin_routes import admin_endpoints
from scopefold.auth.web.authorize import authorize
from scopefold.auth.web.callback import callback
from scopefold.auth.web.connected import connected
from scopefold.auth.web.consent import consent
from scopefold.auth.web.cross_origin import readable
from scopefold.auth.web.forms import Forged
from scopefold.auth.web.forward_auth import forward_auth
from scopefold.auth.web.logout import logout, logout_confirmed
from scopefold.auth.web.pages import style
from scopefold.auth.web.par import push
from scopefold.auth.web.rate import TooManyError, too_many
from scopefold.auth.web.service import Service
from scopefold.auth.web.token import token
from scopefold.auth.web.token_status import introspection, revocation
from scopefold.auth.web.upstream_logout import upstream_logout
from scopefold.auth.web.userinfo import userinfo
from scopefold.runtime.web import (
    Endpoint,
    Handler,
    ProblemError,
    application,
    json_response,
    openapi,
    problem_response,
    route,
)

FOR_PEOPLE = ("/authorize", "/consent", "/oauth2/logout")


def build(service: Service) -> Starlette:
    """The application."""
    guarded = admin_endpoints(service)

    async def described(_: Request) -> Response:
        return json_response(openapi_document(guarded))

    oauth = [
        made
        for prefix in ("", "/{org}")
        for made in (
            *(readable(prefix + path, handler, methods) for path, handler, methods in CROSS_ORIGIN),
            *(Route(prefix + path, handler, methods=methods) for path, handler, methods in OAUTH),
        )
    ]
    routes = [
        *oauth,  # first, since they are looked through in their order, and these are asked for most
        Route("/", metadata.home),
        Route("/assets/scopefold.css", style),
        Route("/healthz", metadata.healthz),
        Route("/readyz", metadata.readyz),
        Route("/openapi.json", described),
        *(route(endpoint) for endpoint in guarded),
    ]
    path = urlsplit(service.settings.issuer).path
    # Of an issuer with a path, both ways of a proxy in front: it takes the path off, or leaves it.
    below = [Mount(path, Router(routes, redirect_slashes=False)), Route(path, metadata.home)] if path else []
    app = application(
        [*below, *routes, *_well_known()],
        exception_handlers={
            RedirectedError: answers.redirected,
            ShownError: answers.shown,
            ProblemError: answers.refused,
            HTTPException: answers.refused,
            failures.LoginFailed: failures.told,
            Forged: account.forged,
            AccessRefused: protected.access_refused,
            TooManyError: too_many,
            UnknownKek: _away,
            Exception: answers.failed,
            **dict.fromkeys(answers.AWAY, _away),
        },
    )
    app.state.service = service
    return app


METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""A gateway may ask by the method of the user's own request."""

OAUTH: Final[Sequence[tuple[str, Handler, Sequence[str]]]] = (
    ("/forward-auth", forward_auth, list(METHODS)),
    ("/authorize", authorize, ["GET", "POST"]),
    ("/consent", consent, ["POST"]),
    ("/oauth2/callback", callback, ["GET"]),
    ("/oauth2/callback/{idp}", callback, ["GET"]),
    ("/forward-auth/{path:path}", forward_auth, list(METHODS)),
    ("/oauth2/introspect", introspection, ["POST"]),
    ("/oauth2/logout", logout, ["GET", "POST"]),
    ("/oauth2/backchannel-logout/{idp}", upstream_logout, ["POST"]),
    ("/account/logout", logout_confirmed, ["POST"]),
    (step_up.CONNECT, step_up.connect, ["GET"]),
    (step_up.CONNECTED, connected, ["GET"]),
    (reconsent_link.LINK, reconsent_link.open_link, ["GET"]),
    ("/account/sessions", account.sessions, ["GET"]),
    ("/account/sessions/{sid}/revoke", account.revoke_session, ["POST"]),
    ("/account/connections", connections.connections, ["GET"]),
    ("/account/connections/{idp}/disconnect", connections.disconnect, ["POST"]),
    ("/oauth2/register/{client_id}", registration.configure, ["GET", "PUT", "DELETE"]),
)
"""What an issuer has for browsers to open and for servers to call: each for the service's own issuer, and for each
organisation's.
"""

CROSS_ORIGIN: Final[Sequence[tuple[str, Handler, Sequence[str]]]] = (
    ("/oauth2/token", token, ["POST"]),
    ("/oauth2/par", push, ["POST"]),
    ("/oauth2/revoke", revocation, ["POST"]),
    ("/oauth2/userinfo", userinfo, ["GET", "POST"]),
    ("/oauth2/register", registration.register, ["POST"]),
    ("/oauth2/jwks", metadata.jwks, ["GET"]),
    ("/.well-known/openid-configuration", metadata.metadata, ["GET"]),
    ("/.well-known/oauth-authorization-server", metadata.metadata, ["GET"]),
)
"""What it has for apps that live in a browser as well, on a page of another site: none of it looks at a cookie."""


def _well_known() -> list[Route]:
    """Documents whose addresses end with the issuer's path (RFC 8414, section 3.1; RFC 9728, section 3.1)."""
    documents = [
        ("/.well-known/openid-configuration", metadata.metadata),
        ("/.well-known/oauth-authorization-server", metadata.metadata),
        (protected.WELL_KNOWN, protected.resource_metadata),
    ]
    inserted = [readable(f"{path}/{{path:path}}", handler) for path, handler in documents]
    return [readable(protected.WELL_KNOWN, protected.resource_metadata), *inserted]


def openapi_document(endpoints: list[Endpoint]) -> dict[str, Any]:
    """The admin API as OpenAPI 3.1. The OAuth endpoints are described by their own metadata."""
    return openapi("Scopefold auth: admin API", version("scopefold-auth"), endpoints, secured=True)


async def _away(request: Request, error: Exception) -> Response:
    """The bus is away: a page for people, problem+json for programs."""
    path = request.url.path
    if path.endswith(FOR_PEOPLE) or "/oauth2/callback" in path or "/account/" in path:
        return await answers.away(request, error)
    title = "The log cannot be used now"
    return problem_response(ProblemError(503, "unavailable", title, str(error), headers={"retry-after": "2"}))
