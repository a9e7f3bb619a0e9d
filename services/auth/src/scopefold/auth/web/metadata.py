"""What the server says of itself: RFC 8414, OpenID Connect Discovery 1.0, and its public keys."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.client import AUTH_METHODS, CONFIDENTIAL_METHODS
from scopefold.auth.oauth.client_keys import ALGORITHMS
from scopefold.auth.web.pages import page
from scopefold.auth.web.service import service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import ProblemError, json_response

CLAIMS: Final = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "email"]


def document(issuer: str) -> dict[str, Any]:
    """The metadata. It claims nothing that the server does not do."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": list(CONFIDENTIAL_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login"],
        "claims_supported": CLAIMS,
        "authorization_response_iss_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


async def metadata(request: Request) -> Response:
    """`GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`"""
    return json_response(document(service_of(request).settings.issuer))


async def jwks(request: Request) -> Response:
    """`GET /oauth2/jwks`: public keys only."""
    return json_response(service_of(request).bus.keys.public())


async def home(request: Request) -> Response:
    """`GET /`: where am I?"""
    service = service_of(request)
    try:
        service.check_ready()
        ready = True
    except LogUnavailable:
        ready = False
    return page("home", title="Scopefold", issuer=service.settings.issuer, ready=ready)


async def healthz(_: Request) -> Response:
    """`GET /healthz`: does the process run?"""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """`GET /readyz`: is the log followed?"""
    try:
        service_of(request).check_ready()
    except LogUnavailable as error:
        raise ProblemError(503, "not-ready", "Not ready", str(error), headers={"retry-after": "2"}) from None
    return json_response({"status": "ok"})
