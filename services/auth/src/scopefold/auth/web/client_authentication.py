"""What the endpoints that clients call directly have in common: a form, a client that proves itself, JSON errors."""

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from authlib.oauth2.rfc6749 import OAuth2Error
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.client import AUTH_METHODS
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.request import GrammarRequest, ShownError, form_parameters
from scopefold.auth.oauth.server import Server
from scopefold.auth.web.service import Service
from scopefold.runtime.web import ProblemError, json_response, limited_body

CHALLENGE: Final = 'Basic realm="scopefold"'


class EndpointError(Exception):
    """A refusal as RFC 6749, section 5.2, has it: JSON, and 401 with a challenge where the client is not believed."""

    def __init__(self, status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.description = description
        self.headers = dict(headers or {})


def endpoint_error(error: EndpointError) -> Response:
    """The refusal as an answer."""
    headers = {"pragma": "no-cache", **error.headers}
    if error.status == 401:
        headers.setdefault("www-authenticate", CHALLENGE)
    return json_response({"error": error.error, "error_description": error.description}, error.status, headers)


async def endpoint_refused(_: Request, error: Exception) -> Response:
    """Answers an `EndpointError`."""
    assert isinstance(error, EndpointError)
    return endpoint_error(error)


async def form_of(request: Request) -> dict[str, str]:
    """The parameters of a form, each given once. Raises `EndpointError`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise EndpointError(400, "invalid_request", "Send a form: content-type application/x-www-form-urlencoded.")
    try:
        return form_parameters(await limited_body(request))
    except ShownError as error:
        raise EndpointError(400, error.error, error.description) from None
    except ProblemError as error:
        raise EndpointError(error.status, "invalid_request", str(error)) from None


async def client_of(service: Service, request: Request, parameters: Mapping[str, str]) -> Loaded:
    """The client that a request comes from, in what is loaded for it: it has proved itself as it is registered to.

    Raises `EndpointError`.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None and "client_secret" in parameters:
        raise EndpointError(400, "invalid_request", "Authenticate in one way, not in two (RFC 6749, section 2.3).")
    named = parameters.get("client_id")
    client_id = named if authorization is None else basic_client(authorization)
    wrong = EndpointError(401, "invalid_client", "The client is not known, or did not prove itself as registered.")
    if client_id is None or (named is not None and named != client_id):
        raise wrong
    loaded = service.loaded(await service.clients.get(client_id))
    headers = {"Authorization": authorization} if authorization is not None else {}
    asked = GrammarRequest("POST", {**parameters, "client_id": client_id}, headers)
    try:
        Server(loaded).authenticate_client(asked, list(AUTH_METHODS))
    except OAuth2Error:
        raise wrong from None
    return loaded


def basic_client(authorization: str) -> str | None:
    """The client id in an HTTP Basic header, if there is one (RFC 6749, section 2.3.1)."""
    scheme, _, content = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return unquote(base64.b64decode(content, validate=True).decode().partition(":")[0])
    except (binascii.Error, UnicodeDecodeError):
        return None
