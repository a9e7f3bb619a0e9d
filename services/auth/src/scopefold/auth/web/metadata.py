"""What the server says of itself: RFC 8414, OpenID Connect Discovery 1.0, and its public keys."""

from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.authentication import ACR, PROMPTS
from scopefold.auth.core.families import OFFLINE
from scopefold.auth.core.keys import ALGORITHMS as SIGNING_ALGORITHMS
from scopefold.auth.oauth.claims import SCOPE_CLAIMS, SCOPES
from scopefold.auth.oauth.client import AUTH_METHODS, CONFIDENTIAL_METHODS
from scopefold.auth.oauth.client_keys import ALGORITHMS
from scopefold.auth.oauth.dpop_proof import ALGORITHMS as DPOP_ALGORITHMS
from scopefold.auth.oauth.exchange import EXCHANGE
from scopefold.auth.oauth.plain_request import RESPONSE_MODES
from scopefold.auth.settings import Settings
from scopefold.auth.web.pages import page
from scopefold.auth.web.service import Service, issuer_of, service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.web import ProblemError, json_response

JWKS_SECONDS: Final = 60
"""How long a cache may keep the keys: so long may one that was revoked be believed elsewhere."""
CLAIMS: Final = [
    *("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "at_hash", "sid"),
    *(name for names in SCOPE_CLAIMS.values() for name in names),
]


def document(issuer: str, settings: Settings) -> dict[str, Any]:
    """The metadata. It claims nothing that the server does not do."""
    offered: dict[str, Any] = {}
    if settings.registration != "off":
        offered["registration_endpoint"] = f"{issuer}/oauth2/register"
    if settings.client_documents:
        offered["client_id_metadata_document_supported"] = True
    return offered | {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth2/par",
        "require_pushed_authorization_requests": False,
        "userinfo_endpoint": f"{issuer}/oauth2/userinfo",
        "end_session_endpoint": f"{issuer}/oauth2/logout",
        "introspection_endpoint": f"{issuer}/oauth2/introspect",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "scopes_supported": [*SCOPES, OFFLINE],
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials", EXCHANGE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "dpop_signing_alg_values_supported": list(DPOP_ALGORITHMS),
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": list(CONFIDENTIAL_METHODS),
        "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": list(PROMPTS),
        "acr_values_supported": [ACR],
        "claims_supported": CLAIMS,
        "authorization_response_iss_parameter_supported": True,
        "claims_parameter_supported": True,
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


async def metadata(request: Request) -> Response:
    """`GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`, of an issuer that has a
    path also with that path at their end (RFC 8414, section 3.1).
    """
    service = service_of(request)
    issuer = issuer_at(service, request.path_params.get("path", ""))
    return json_response(document(issuer, service.settings))


def issuer_at(service: Service, path: str) -> str:
    """The issuer whose path stands behind a well-known one. Raises `ProblemError` where there is no such issuer."""
    if not path:
        return service.issuer
    organisation = f"/{path}".removeprefix(urlsplit(service.settings.issuer).path).removeprefix("/")
    return issuer_of(service, organisation or None)


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
    return page("home", title="Scopefold", issuer=service.issuer, ready=ready)


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
