"""What may be had of every route by whoever comes: decided here, so that a new route needs a decision.

The routes are read from the services themselves.
"""

from collections.abc import Sequence
from typing import Final

import httpx
from starlette.routing import BaseRoute, Mount, Route

from scopefold.auth.settings import Settings
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.routes import CROSS_ORIGIN, OAUTH, build
from scopefold.auth.web.service import Service
from scopefold.runtime.secret import Secret

ORGANISATION: Final = "default"

PUBLIC_DOCUMENTS: Final = (
    "/oauth2/jwks",
    "/.well-known/openid-configuration",
    "/.well-known/oauth-authorization-server",
)
"""What any issuer tells everybody, as JSON."""

PUBLIC: Final = (
    *("/", "/assets/scopefold.css", "/healthz", "/readyz", "/openapi.json"),
    *PUBLIC_DOCUMENTS,
    "/.well-known/oauth-protected-resource",
    *(f"/.well-known/{name}/{{path:path}}" for name in ("openid-configuration", "oauth-authorization-server")),
    "/.well-known/oauth-protected-resource/{path:path}",
)
"""What answers 200 to everybody, since nothing in it is anybody's."""

JUDGED: Final = {
    "/authorize": (400,),
    "/consent": (403,),
    "/oauth2/callback": (400,),
    "/oauth2/callback/{idp}": (400,),
    "/oauth2/token": (400,),
    "/oauth2/par": (400,),
    "/oauth2/introspect": (400,),
    "/oauth2/revoke": (400,),
    "/oauth2/userinfo": (401,),
    "/oauth2/backchannel-logout/{idp}": (400,),
    "/oauth2/logout": (200,),  # without a session there is nothing to lose
    "/forward-auth": (400,),
    "/forward-auth/{path:path}": (400,),
    "/account/connect": (400,),
    "/account/connected": (200,),  # says nothing of anybody but the user of the session
    "/account/reconsent": (400,),
    "/account/logout": (403,),
    "/account/sessions": (401,),
    "/account/sessions/{sid}/revoke": (403,),
    "/account/connections": (401,),
    "/account/connections/{idp}/disconnect": (403,),
    "/oauth2/register": (400, 401, 404),
    "/oauth2/register/{client_id}": (400, 401, 404),
}
"""What judges for itself who comes, and what it answers to an empty request of nobody."""


def auth_routes() -> list[Route]:
    """Every route of the auth service."""
    settings = Settings(admin_token=Secret("x" * 24), kek=Secret("x" * 43))
    return _flat(build(Service(settings, Projection(ORGANISATION), httpx.AsyncClient())).routes)


def oauth_routes() -> list[tuple[str, str]]:
    """Method and path of every route of an issuer."""
    return [(method, path) for path, _, methods in (*OAUTH, *CROSS_ORIGIN) for method in methods]


def addresses(path: str) -> list[str]:
    """Where a route of an issuer is: at the service's own issuer, and at the organisation's."""
    return [filled(path), f"/{ORGANISATION}{filled(path)}"]


def filled(path: str) -> str:
    """The path with something in place of its parameters."""
    for name, value in (("{org}", ORGANISATION), ("{path:path}", ORGANISATION), ("{client_id:path}", "nobody")):
        path = path.replace(name, value)
    for name in ("idp", "sid", "client_id", "user", "kid", "kind", "connector", "message"):
        path = path.replace(f"{{{name}}}", f"{name}-of-nobody")
    assert "{" not in path, path
    return path


def of_issuer(path: str) -> str:
    """The path as every issuer has it."""
    return path.removeprefix("/{org}")


def _flat(routes: Sequence[BaseRoute]) -> list[Route]:
    found = [one for one in routes if isinstance(one, Route)]
    return [*found, *(inner for one in routes if isinstance(one, Mount) for inner in _flat(one.routes))]
