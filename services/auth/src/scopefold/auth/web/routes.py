"""Every route of the auth service, and how what goes wrong is told there."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.auth.core.idps import RegisterIdp
from scopefold.auth.core.withholding import Restore, Withhold
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.web import admin, answers, metadata, withholding
from scopefold.auth.web.authorize import authorize
from scopefold.auth.web.callback import callback
from scopefold.auth.web.pages import style
from scopefold.auth.web.service import Service
from scopefold.auth.web.token import token
from scopefold.auth.web.token_status import introspection, revocation
from scopefold.auth.web.user_grants import end_user_grants
from scopefold.runtime.web import (
    Endpoint,
    Handler,
    ProblemError,
    application,
    json_response,
    openapi,
    problem_response,
    require_bearer,
    route,
)

Guard = Callable[[Handler], Handler]
CLIENTS = "/api/v1/organizations/{org}/clients"


def build(service: Service) -> Starlette:
    """The application."""
    guarded = _admin(service)

    async def described(_: Request) -> Response:
        return json_response(openapi_document(guarded))

    app = application(
        [
            Route("/", metadata.home),
            Route("/authorize", authorize, methods=["GET", "POST"]),
            Route("/oauth2/callback", callback),
            Route("/oauth2/callback/{idp}", callback),
            Route("/oauth2/token", token, methods=["POST"]),
            Route("/oauth2/introspect", introspection, methods=["POST"]),
            Route("/oauth2/revoke", revocation, methods=["POST"]),
            Route("/oauth2/jwks", metadata.jwks),
            Route("/.well-known/openid-configuration", metadata.metadata),
            Route("/.well-known/oauth-authorization-server", metadata.metadata),
            Route("/assets/scopefold.css", style),
            Route("/healthz", metadata.healthz),
            Route("/readyz", metadata.readyz),
            Route("/openapi.json", described),
            *(route(endpoint) for endpoint in guarded),
        ],
        exception_handlers={
            RedirectedError: answers.redirected,
            ShownError: answers.shown,
            **dict.fromkeys(answers.AWAY, _away),
        },
    )
    app.state.service = service
    return app


def openapi_document(endpoints: list[Endpoint]) -> dict[str, Any]:
    """The admin API as OpenAPI 3.1. The OAuth endpoints are described by their own metadata."""
    return openapi("Scopefold auth: admin API", version("scopefold-auth"), endpoints, secured=True)


async def _away(request: Request, error: Exception) -> Response:
    """The bus is away: a page for people, problem+json for programs."""
    if request.url.path in ("/authorize", "/oauth2/callback") or request.url.path.startswith("/oauth2/callback/"):
        return await answers.away(request, error)
    title = "The log cannot be used now"
    return problem_response(ProblemError(503, "unavailable", title, str(error), headers={"retry-after": "2"}))


def _admin(service: Service) -> list[Endpoint]:
    guard = require_bearer(service.settings.admin_token)
    return [*_idps(guard), *_clients(guard), *_users(guard), *_log(guard)]


def _idps(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path="/v1/idps",
            summary="Register an identity provider",
            handler=guard(admin.register_idp),
            body=RegisterIdp,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/idps",
            summary="List the identity providers",
            handler=guard(admin.list_idps),
            answers={200: admin.IdpViews},
            problems=(401, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/idps/{idp}",
            summary="Show one identity provider: its union, and which connectors it is made of",
            handler=guard(admin.show_idp),
            answers={200: admin.IdpView},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/idps/{idp}/withheld",
            summary="Leave scopes out of logins for now, since the provider refuses people over them",
            handler=guard(withholding.withhold_scopes),
            body=Withhold,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/idps/{idp}/restored",
            summary="Ask for scopes again: of everybody who lacks them",
            handler=guard(withholding.restore_scopes),
            body=Restore,
            answers={201: admin.IdpView, 200: admin.IdpView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
    ]


def _clients(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="POST",
            path=CLIENTS,
            summary="Register a client",
            handler=guard(admin.register_client),
            body=admin.RegisterClient,
            answers={201: admin.ClientView, 200: admin.ClientView},
            problems=(400, 401, 404, 409, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path=CLIENTS,
            summary="List the clients",
            handler=guard(admin.list_clients),
            answers={200: admin.ClientViews},
            problems=(401, 404, 503),
        ),
    ]


def _users(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="DELETE",
            path="/v1/users/{user}/grants",
            summary="End everything that apps were granted on behalf of a user: each must have them log in anew",
            handler=guard(end_user_grants),
            answers={204: None},
            problems=(401, 404, 503),
        ),
    ]


def _log(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/reconsent",
            summary="Who must consent again, to what, since when and because of what",
            handler=guard(admin.reconsent),
            query=admin.WorklistQuery,
            answers={200: admin.Worklist},
            problems=(400, 401, 503),
        ),
        Endpoint(
            method="GET",
            path="/v1/quarantine",
            summary="Messages of the log that no fold may use, and why",
            handler=guard(admin.quarantine),
            answers={200: admin.QuarantineView},
            problems=(401, 503),
        ),
    ]
