"""Protected resources of ours over HTTP: who comes in, and how a refusal tells what is missing."""

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.protected import NOTHING_MORE, Access, AccessRefused, Needs, check_access
from scopefold.auth.web.dpop import address_of, is_first_sight, nonce_headers, proof_in
from scopefold.auth.web.service import Service, service_of
from scopefold.runtime.web import json_response


async def access_of(service: Service, request: Request, needs: Needs = NOTHING_MORE) -> Access:
    """The access that a request's token gives. Raises `AccessRefused`, which `access_refused` answers."""
    loaded = service.loaded(None)
    loaded.url = address_of(service, request)
    authorization = request.headers.get("authorization")
    access = check_access(
        loaded, method=request.method, authorization=authorization, proof=proof_in(request), needs=needs
    )
    if access.proof is not None and not await is_first_sight(service, access.proof):
        raise AccessRefused(
            401, "DPoP", error="invalid_dpop_proof", error_description="The DPoP proof was used already."
        )
    return access


async def access_refused(request: Request, error: Exception) -> Response:
    """Answers an `AccessRefused` (RFC 6750, section 3; RFC 9449, section 7; RFC 9470, section 3)."""
    assert isinstance(error, AccessRefused)
    headers = {"www-authenticate": error.challenge()}
    if error.scheme != "Bearer":
        headers |= nonce_headers(service_of(request).loaded(None))
    return json_response(error.told, error.status, headers)
