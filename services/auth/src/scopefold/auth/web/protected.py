"""Protected resources of ours over HTTP: who comes in, how a refusal tells what is missing, and what RFC 9728 metadata
says of them.
"""

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.claims import SCOPES
from scopefold.auth.oauth.dpop_proof import ALGORITHMS, Proof
from scopefold.auth.oauth.protected import NOTHING_MORE, Access, AccessRefused, Needs, check_access
from scopefold.auth.web.dpop import address_of, is_first_sight, nonce_headers, proof_in
from scopefold.auth.web.metadata import issuer_at
from scopefold.auth.web.service import Service, service_of
from scopefold.auth.web.token_status import is_live
from scopefold.runtime.web import json_response, sent_once

WELL_KNOWN = "/.well-known/oauth-protected-resource"


async def resource_metadata(request: Request) -> Response:
    """`GET /.well-known/oauth-protected-resource[/path]`: our own protected resources have the issuer's name."""
    issuer = issuer_at(service_of(request), request.path_params.get("path", ""))
    return json_response(
        {
            "resource": issuer,
            "authorization_servers": [issuer],
            "scopes_supported": list(SCOPES),
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "resource_name": "Scopefold",
        }
    )


def resource_metadata_address(service: Service) -> str:
    """Where the metadata of this issuer's resources is: its path stands behind the fixed one (RFC 9728, section 3)."""
    path = service.path
    return f"{service.issuer.removesuffix(path) if path else service.issuer}{WELL_KNOWN}{path}"


async def access_of(
    service: Service, request: Request, needs: Needs = NOTHING_MORE, *, authorization: str | None = None
) -> Access:
    """The access that a request's token gives. Raises `AccessRefused`, which `access_refused` answers.

    What ended a family, a user's grants, a session or the token itself is seen by the next request, at every replica.

    `authorization` stands for the header where the token came in another way, which a resource must allow explicitly.
    """
    loaded = service.loaded(None)
    loaded.url = address_of(service, request)
    access = check_access(
        loaded,
        method=request.method,
        authorization=authorization or sent_once(request, "authorization"),
        proof=proof_in(request),
        needs=needs,
    )
    if not await is_live(service, access.claims):
        raise AccessRefused(
            401, access.scheme, error="invalid_token", error_description="The access token was revoked."
        )
    await spend_proof(service, access.proof)
    return access


async def spend_proof(service: Service, proof: Proof | None) -> None:
    """Note that a proof of a key was used, if there is one. Raises `AccessRefused` where it was used before."""
    if proof is not None and not await is_first_sight(service, proof):
        raise AccessRefused(
            401, "DPoP", error="invalid_dpop_proof", error_description="The DPoP proof was used already."
        )


async def access_refused(request: Request, error: Exception) -> Response:
    """Answers an `AccessRefused` (RFC 6750, section 3; RFC 9449, section 7; RFC 9470, section 3)."""
    assert isinstance(error, AccessRefused)
    service = service_of(request)
    headers = {"www-authenticate": error.challenge(resource_metadata_address(service))}
    if error.scheme != "Bearer":
        headers |= nonce_headers(service.loaded(None))
    told = {"error": "invalid_token", "error_description": str(error), **error.told}
    return json_response(told, error.status, headers)
