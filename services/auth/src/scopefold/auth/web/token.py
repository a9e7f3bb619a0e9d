"""The token endpoint: a code, once, for an access token and an ID token."""

import asyncio
import base64
import binascii
from typing import Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.request import ShownError, form_parameters
from scopefold.auth.oauth.server import redeem
from scopefold.auth.store.buckets import Taken, hashed
from scopefold.auth.store.records import Code
from scopefold.auth.web.service import Service, service_of
from scopefold.runtime.web import ProblemError, json_response, limited_body

CHALLENGE: Final = 'Basic realm="scopefold"'


async def token(request: Request) -> Response:
    """`POST /oauth2/token` (RFC 6749, section 3.2)."""
    service = service_of(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        return _error(400, "invalid_request", "Send a form: content-type application/x-www-form-urlencoded.")
    try:
        parameters = form_parameters(await limited_body(request))
    except ShownError as error:
        return _error(400, error.error, error.description)
    except ProblemError as error:
        return _error(error.status, "invalid_request", str(error))
    authorization = request.headers.get("authorization")
    if authorization is not None and "client_secret" in parameters:
        return _error(400, "invalid_request", "Authenticate in one way, not in two (RFC 6749, section 2.3).")
    client_id = parameters.get("client_id", "") if authorization is None else _basic_client(authorization)
    if client_id is None:
        return _error(401, "invalid_client", "The Authorization header holds no client's name and secret.")
    loaded = service.loaded(await service.clients.get(client_id))
    flows, key = service.bus.buckets.flows, f"code.{hashed(parameters.get('code', ''))}"
    found = await flows.get(key, Code)
    if found is not None:
        await _load(service, loaded, found[0])
    headers = {"Authorization": authorization} if authorization is not None else {}
    status, body, answer_headers = redeem(loaded, parameters, headers)
    if status == 400 and body.get("error") == "invalid_client":  # Authlib's answer where no header authenticated
        status, answer_headers = 401, {**answer_headers, "WWW-Authenticate": CHALLENGE}
    if status == 200:
        assert found is not None
        try:
            await flows.take(key, found[1])
        except Taken:
            return _error(400, "invalid_grant", "The code was redeemed already.")
    answer_headers = {name.lower(): value for name, value in answer_headers.items()}
    return json_response(body, status, {**answer_headers, "cache-control": "no-store", "pragma": "no-cache"})


async def _load(service: Service, loaded: Loaded, code: Code) -> None:
    """What the code stands for, if the session that it was issued in still lives."""
    session, stored, groups = await asyncio.gather(
        service.bus.sessions.of(code.user, code.sid, loaded.now),
        service.bus.vault.token(code.user, code.idp),
        service.bus.vault.groups(code.user),
    )
    if session is None:
        return
    loaded.code = code
    loaded.identity = stored[0].identity if stored else None
    loaded.groups = groups


def _error(status: int, error: str, description: str) -> Response:
    headers = {"www-authenticate": CHALLENGE} if status == 401 else {}
    return json_response({"error": error, "error_description": description}, status, headers)


def _basic_client(authorization: str) -> str | None:
    """The client id in an HTTP Basic header, if there is one (RFC 6749, section 2.3.1)."""
    scheme, _, content = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return unquote(base64.b64decode(content, validate=True).decode().partition(":")[0])
    except (binascii.Error, UnicodeDecodeError):
        return None
