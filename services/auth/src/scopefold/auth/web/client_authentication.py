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
from scopefold.auth.web.rate import TooManyError
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


def too_many_for_clients(error: TooManyError) -> EndpointError:
    """Too many requests, told to a program."""
    headers = {"retry-after": error.retry_after}
    return EndpointError(429, "temporarily_unavailable", "Too many failed or begun requests; wait.", headers)


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


def named_client(service: Service, request: Request, parameters: Mapping[str, str]) -> str:
    """Which client a request says it comes from; may be empty. Raises `EndpointError`, also where that client failed
    too often from this address.
    """
    authorization = request.headers.get("authorization")
    if authorization is None:
        client_id = parameters.get("client_id", "")
    elif "client_secret" in parameters:
        raise EndpointError(400, "invalid_request", "Authenticate in one way, not in two (RFC 6749, section 2.3).")
    elif (found := basic_client(authorization)) is None:
        raise EndpointError(401, "invalid_client", "The Authorization header holds no client's name and secret.")
    else:
        client_id = found
    if parameters.get("client_id", client_id) != client_id:
        raise EndpointError(401, "invalid_client", "The request names two clients.")
    try:
        service.limits.check_client(request, client_id)
    except TooManyError as error:
        raise too_many_for_clients(error) from None
    return client_id


async def client_of(service: Service, request: Request, parameters: Mapping[str, str]) -> Loaded:
    """The client that a request comes from, in what is loaded for it: it has proved itself as it is registered to.

    Raises `EndpointError`.
    """
    client_id = named_client(service, request, parameters)
    loaded = service.loaded(await service.clients.get(client_id))
    authorization = request.headers.get("authorization")
    headers = {"Authorization": authorization} if authorization is not None else {}
    asked = GrammarRequest("POST", {**parameters, "client_id": client_id}, headers)
    try:
        Server(loaded).authenticate_client(asked, list(AUTH_METHODS))
    except OAuth2Error:
        service.limits.client_failed(request, client_id)
        description = "The client is not known, or did not prove itself as it is registered to."
        raise EndpointError(401, "invalid_client", description) from None
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
