"""What the server says of itself: RFC 8414, OpenID Connect Discovery 1.0, and its public keys."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.keys import ALGORITHMS as SIGNING_ALGORITHMS
from scopefold.auth.oauth.client import AUTH_METHODS
from scopefold.auth.oauth.dpop_proof import ALGORITHMS as DPOP_ALGORITHMS
from scopefold.auth.web.pages import page
from scopefold.auth.web.service import service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import ProblemError, json_response

JWKS_SECONDS: Final = 60
"""How long a cache may keep the keys: so long may one that was revoked be believed elsewhere."""
CLAIMS: Final = ["sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", "email"]


def document(issuer: str) -> dict[str, Any]:
    """The metadata. It claims nothing that the server does not do."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth2/par",
        "require_pushed_authorization_requests": False,
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "scopes_supported": ["openid", "profile", "email"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
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
    keys = service_of(request).bus.keys.public()
    return json_response(keys, headers={"cache-control": f"public, max-age={JWKS_SECONDS}"})


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
