"""Every route of the auth service, and how what goes wrong is told there."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from scopefold.auth.core.idps import RegisterIdp
from scopefold.auth.core.withholding import Restore, Withhold
from scopefold.auth.oauth.protected import AccessRefused
from scopefold.auth.oauth.request import RedirectedError, ShownError
from scopefold.auth.web import (
    account,
    admin,
    answers,
    client_admin,
    doctor,
    failures,
    metadata,
    protected,
    registration,
    signing_keys,
    users,
    withholding,
    worklist,
)
from scopefold.auth.web.authorize import authorize
from scopefold.auth.web.callback import callback
from scopefold.auth.web.consent import consent
from scopefold.auth.web.forms import Forged
from scopefold.auth.web.logout import logout, logout_confirmed
from scopefold.auth.web.pages import style
from scopefold.auth.web.par import push
from scopefold.auth.web.rate import TooManyError, too_many
from scopefold.auth.web.service import Service
from scopefold.auth.web.token import token
from scopefold.auth.web.token_status import introspection, revocation
from scopefold.auth.web.user_grants import end_user_grants
from scopefold.auth.web.userinfo import userinfo
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
FOR_PEOPLE = ("/authorize", "/consent", "/oauth2/logout")
CLIENTS = "/api/v1/organizations/{org}/clients"


def build(service: Service) -> Starlette:
    """The application."""
    guarded = _admin(service)

    async def described(_: Request) -> Response:
        return json_response(openapi_document(guarded))

    oauth = [
        Route(prefix + path, handler, methods=methods) for prefix in ("", "/{org}") for path, handler, methods in OAUTH
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
    app = application(
        # Of an issuer with a path, both ways of a proxy in front: it takes the path off, or leaves it.
        [*([Mount(path, routes=routes)] if path else []), *routes, *_well_known()],
        exception_handlers={
            RedirectedError: answers.redirected,
            ShownError: answers.shown,
            failures.LoginFailed: failures.told,
            Forged: account.forged,
            AccessRefused: protected.access_refused,
            TooManyError: too_many,
            **dict.fromkeys(answers.AWAY, _away),
        },
    )
    app.state.service = service
    return app


OAUTH: Final[Sequence[tuple[str, Handler, Sequence[str]]]] = (
    ("/authorize", authorize, ["GET", "POST"]),
    ("/consent", consent, ["POST"]),
    ("/oauth2/callback", callback, ["GET"]),
    ("/oauth2/callback/{idp}", callback, ["GET"]),
    ("/oauth2/token", token, ["POST"]),
    ("/oauth2/par", push, ["POST"]),
    ("/oauth2/introspect", introspection, ["POST"]),
    ("/oauth2/revoke", revocation, ["POST"]),
    ("/oauth2/userinfo", userinfo, ["GET", "POST"]),
    ("/oauth2/logout", logout, ["GET", "POST"]),
    ("/account/logout", logout_confirmed, ["POST"]),
    ("/account/sessions", account.sessions, ["GET"]),
    ("/account/sessions/{sid}/revoke", account.revoke_session, ["POST"]),
    ("/oauth2/jwks", metadata.jwks, ["GET"]),
    ("/oauth2/register", registration.register, ["POST"]),
    ("/oauth2/register/{client_id}", registration.configure, ["GET", "PUT", "DELETE"]),
    ("/.well-known/openid-configuration", metadata.metadata, ["GET"]),
    ("/.well-known/oauth-authorization-server", metadata.metadata, ["GET"]),
)
"""Every route of an issuer: there is each for the service's own, and for each organisation's."""


def _well_known() -> list[Route]:
    """Documents whose addresses end with the issuer's path (RFC 8414, section 3.1; RFC 9728, section 3.1)."""
    documents = [
        ("/.well-known/openid-configuration", metadata.metadata),
        ("/.well-known/oauth-authorization-server", metadata.metadata),
        (protected.WELL_KNOWN, protected.resource_metadata),
    ]
    inserted = [Route(f"{path}/{{path:path}}", handler) for path, handler in documents]
    return [Route(protected.WELL_KNOWN, protected.resource_metadata), *inserted]


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


def _admin(service: Service) -> list[Endpoint]:
    guard = require_bearer(service.settings.admin_token)
    return [*_idps(guard), *_clients(guard), *_users(guard), *_keys(guard), *_log(guard)]


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
            method="GET",
            path="/v1/idps/{idp}/doctor",
            summary="What is wrong with an identity provider, why, who can mend it and how; no user is needed",
            handler=guard(doctor.doctor),
            query=doctor.DoctorQuery,
            answers={200: doctor.Checkup},
            problems=(400, 401, 404, 503),
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
    view, one = client_admin.ClientView, CLIENTS + "/{client_id:path}"
    return [
        Endpoint(
            method="POST",
            path=CLIENTS,
            summary="Register a client",
            handler=guard(client_admin.register_client),
            body=client_admin.RegisterClient,
            answers={201: view, 200: view},
            problems=(400, 401, 404, 409, 415, 422, 503),
        ),
        Endpoint(
            method="GET",
            path=CLIENTS,
            summary="List the clients",
            handler=guard(client_admin.list_clients),
            answers={200: client_admin.ClientViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="POST",
            path=f"{one}/secret",
            summary="Give a client a new secret",
            handler=guard(client_admin.rotate_secret),
            answers={200: view},
            problems=(401, 404, 409, 422, 503),
        ),
        Endpoint(
            method="GET",
            path=one,
            summary="Show one client",
            handler=guard(client_admin.show_client),
            answers={200: view},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="PUT",
            path=one,
            summary="Register a client, or make it so whatever it was",
            handler=guard(client_admin.put_client),
            body=client_admin.DescribeClient,
            answers={201: view, 200: view},
            problems=(400, 401, 404, 409, 415, 422, 503),
        ),
        Endpoint(
            method="DELETE",
            path=one,
            summary="Remove a client",
            handler=guard(client_admin.remove_client),
            answers={204: None},
            problems=(401, 404, 409, 503),
        ),
        Endpoint(
            method="POST",
            path="/api/v1/organizations/{org}/registration-tokens",
            summary="Give somebody leave to register clients (RFC 7591)",
            handler=guard(registration.issue_initial_access),
            body=registration.IssueInitialAccess,
            answers={201: registration.InitialAccessView},
            problems=(400, 401, 404, 415, 422, 503),
        ),
    ]


def _users(guard: Guard) -> list[Endpoint]:
    sessions, groups = "/v1/users/{user}/sessions", "/v1/users/{user}/groups"
    return [
        Endpoint(
            method="GET",
            path=sessions,
            summary="List a user's sessions",
            handler=guard(users.list_sessions),
            answers={200: users.SessionViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="DELETE",
            path=sessions,
            summary="End all sessions of a user, and tell their clients",
            handler=guard(users.end_sessions),
            answers={200: users.SessionViews},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="DELETE",
            path=sessions + "/{sid}",
            summary="End one session, and tell its clients",
            handler=guard(users.end_one_session),
            answers={200: users.SessionView},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="GET",
            path=groups,
            summary="Show the groups that operators put a user into",
            handler=guard(users.show_groups),
            answers={200: users.UserGroups},
            problems=(401, 404, 503),
        ),
        Endpoint(
            method="PUT",
            path=groups,
            summary="Say which groups a user is in",
            handler=guard(users.put_groups),
            body=users.UserGroups,
            answers={200: users.UserGroups},
            problems=(400, 401, 404, 415, 422, 503),
        ),
        Endpoint(
            method="DELETE",
            path="/v1/users/{user}/grants",
            summary="End everything that apps were granted on behalf of a user: each must have them log in anew",
            handler=guard(end_user_grants),
            answers={204: None},
            problems=(401, 404, 503),
        ),
    ]


def _keys(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/keys",
            summary="List the signing keys, without anything secret",
            handler=guard(signing_keys.list_keys),
            answers={200: signing_keys.KeyViews},
            problems=(401, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/keys/rotate",
            summary="Sign with the next key of every algorithm, and announce another",
            handler=guard(signing_keys.rotate_keys),
            answers={200: signing_keys.KeyViews},
            problems=(401, 409, 503),
        ),
        Endpoint(
            method="POST",
            path="/v1/keys/{kid}/revoke",
            summary="Take a key that leaked out of use: nothing that it signed is believed any more",
            handler=guard(signing_keys.revoke_key),
            answers={200: signing_keys.KeyViews},
            problems=(401, 404, 503),
        ),
    ]


def _log(guard: Guard) -> list[Endpoint]:
    return [
        Endpoint(
            method="GET",
            path="/v1/reconsent",
            summary="Who must consent again, to what, since when and because of what",
            handler=guard(worklist.reconsent),
            query=worklist.WorklistQuery,
            answers={200: worklist.Worklist},
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
