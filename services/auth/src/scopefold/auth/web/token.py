"""The token endpoint: a code, once, for an access token and an ID token."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.server import redeem
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Code
from scopefold.auth.web.client_authentication import CHALLENGE, EndpointError, form_of, named_client
from scopefold.auth.web.dpop import address_of, is_first_sight, nonce_headers, proof_in
from scopefold.auth.web.service import service_of
from scopefold.runtime.web import json_response


async def token(request: Request) -> Response:
    """`POST /oauth2/token` (RFC 6749, section 3.2)."""
    service = service_of(request)
    parameters = await form_of(request)
    client_id = named_client(service, request, parameters)
    loaded = service.loaded(await service.clients.get(client_id))
    loaded.url = address_of(service, request)
    flows, key = service.bus.buckets.flows, f"code.{hashed(parameters.get('code', ''))}"
    found = await flows.get(key, Code)
    if found is not None:
        loaded.code = found[0]
        stored = await service.bus.vault.token(found[0].user, found[0].idp)
        loaded.identity = stored[0].identity if stored else None
    sent = {"Authorization": request.headers.get("authorization"), "DPoP": proof_in(request)}
    status, body, told = redeem(loaded, parameters, {name: value for name, value in sent.items() if value is not None})
    headers = nonce_headers(loaded) if sent["DPoP"] is not None else {}
    if status == 400 and body.get("error") == "invalid_client":  # Authlib's answer where no header authenticated
        status, told = 401, {**told, "WWW-Authenticate": CHALLENGE}
    if status == 401:
        service.limits.client_failed(request, client_id)
    if status == 200:
        assert found is not None
        if loaded.proof is not None and not await is_first_sight(service, loaded.proof):
            raise EndpointError(400, "invalid_dpop_proof", "The DPoP proof was used already.", headers)
        try:
            await flows.take(key, found[1])
        except Taken:
            raise EndpointError(400, "invalid_grant", "The code was redeemed already.", headers) from None
    return _answer(status, body, {**told, **headers})


def _answer(status: int, body: Any, headers: dict[str, str]) -> Response:
    lower = {name.lower(): value for name, value in headers.items()}
    return json_response(body, status, {**lower, "cache-control": "no-store", "pragma": "no-cache"})
