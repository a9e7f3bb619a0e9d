"""What clients send to the token endpoint and its kin: a small form, by POST, with one way of authentication."""

import base64
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.private_key_jwt import client_named_by
from scopefold.auth.oauth.request import ShownError, form_parameters, sayable
from scopefold.auth.oauth.server import NOT_PROVED, why_unproved
from scopefold.auth.store.records import Client
from scopefold.auth.web.answers import AWAY
from scopefold.auth.web.client_keys import signing_keys
from scopefold.auth.web.dpop import HEADER, address_of, is_first_sight, nonce_headers, proof_in
from scopefold.auth.web.rate import TooManyError
from scopefold.auth.web.service import Service, service_of
from scopefold.runtime.web import ProblemError, json_response, limited_body

CHALLENGE: Final = 'Basic realm="scopefold"'
FORM: Final = "application/x-www-form-urlencoded"


class ClientRequest(Struct):
    """A client's request, not yet authenticated, with what the grammar needs to do so."""

    service: Service
    parameters: dict[str, str]
    headers: dict[str, str]
    loaded: Loaded
    client_id: str
    """Who it says it is; may be empty."""
    request: Request


class RequestError(Exception):
    """A request that is refused as RFC 6749, section 5.2, has it."""

    def __init__(self, status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.error = error
        self.headers = dict(headers or {})


Answer = tuple[int, Any, dict[str, str]]
Handler = Callable[[ClientRequest], Awaitable[Answer]]


def client_endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for clients: reads their request, and answers in OAuth's JSON whatever happens."""

    async def endpoint(request: Request) -> Response:
        asked: ClientRequest | None = None
        try:
            asked = await _read(request)
            status, body, headers = await handler(asked)
        except RequestError as error:
            status, headers = error.status, error.headers
            body = {"error": error.error, "error_description": str(error)}
        except AWAY as error:
            service_of(request).tell_refusal(request.url.path, error)
            told = {
                "error": "temporarily_unavailable",
                "error_description": "A part of this server is away. Try again.",
            }
            return json_response(told, 503, {"retry-after": "2"})
        headers = {name.lower(): value for name, value in headers.items()}
        if body and "error_description" in body:
            body["error_description"] = sayable(body["error_description"])
        if body and body.get("error") == "invalid_client":  # Authlib says 400 where no header authenticated
            status, headers["www-authenticate"] = 401, CHALLENGE
            if asked is not None:
                asked.service.limits.client_failed(request, asked.client_id)
        if asked is not None and HEADER in asked.headers:
            headers |= nonce_headers(asked.loaded)
        return json_response(body, status, {**headers, "cache-control": "no-store", "pragma": "no-cache"})

    return endpoint


async def _read(request: Request) -> ClientRequest:
    service = service_of(request)
    service.check_ready()
    parameters = await form_in(request)
    if len(request.headers.getlist("authorization")) > 1:
        raise RequestError(400, "invalid_request", "Authenticate in one way, not in two (RFC 6749, section 2.3).")
    sent = {"Authorization": request.headers.get("authorization"), HEADER: proof_in(request)}
    client_id = _client_id(sent["Authorization"], parameters)
    try:
        service.limits.check_client(request, client_id)
    except TooManyError as error:
        raise too_many_for_clients(error) from None
    client = await service.clients.get(client_id)
    loaded = service.loaded(client)
    if sent[HEADER] is not None:
        loaded.url = address_of(service, request)
    issuer = service.issuer
    loaded.audiences = (issuer, f"{issuer}/oauth2/token")
    if client is not None and "client_assertion" in parameters:
        loaded.client_keys = await signing_keys(service.egress, client, parameters["client_assertion"])
    headers = {name: value for name, value in sent.items() if value is not None}
    return ClientRequest(service, parameters, headers, loaded, client_id, request)


async def form_in(request: Request) -> dict[str, str]:
    """The parameters of the form that a program sent. Raises `RequestError`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestError(400, "invalid_request", f"Send a form: content-type {FORM}.")
    try:
        return form_parameters(await limited_body(request))
    except ShownError as error:
        raise RequestError(400, error.error, error.description) from None
    except ProblemError as error:
        raise RequestError(error.status, "invalid_request", str(error)) from None


def too_many_for_clients(error: TooManyError) -> RequestError:
    """Too many requests, told to a program."""
    description = "Too many failed or begun requests; wait."
    return RequestError(429, "temporarily_unavailable", description, {"retry-after": error.retry_after})


def _client_id(authorization: str | None, parameters: dict[str, str]) -> str:
    """Who it says it is, in one way and not in two (RFC 6749, section 2.3)."""
    ways = [authorization is not None, "client_secret" in parameters, "client_assertion" in parameters]
    if sum(ways) > 1:
        raise RequestError(400, "invalid_request", "Authenticate in one way, not in two (RFC 6749, section 2.3).")
    named = parameters.get("client_id")
    if authorization is not None:
        proved = _basic_client(authorization)
        if proved is None:
            raise RequestError(401, "invalid_client", "The Authorization header holds no client's name and secret.")
    elif "client_assertion" in parameters:
        proved = client_named_by(parameters["client_assertion"])
        if proved is None:
            raise RequestError(401, "invalid_client", "The client assertion is no JWT with a subject.")
    else:
        return named or ""
    if named not in (None, proved):
        raise RequestError(401, "invalid_client", "The client_id is not that of the client that authenticates.")
    return proved


def _basic_client(authorization: str) -> str | None:
    """The client id in an HTTP Basic header, if there is one (RFC 6749, section 2.3.1)."""
    scheme, _, content = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return unquote(base64.b64decode(content, validate=True).decode().partition(":")[0])
    except ValueError:  # no base64, no UTF-8, or a header that is not ASCII
        return None


async def check_client(asked: ClientRequest) -> Client:
    """The client, which has proved itself as at the token endpoint. Raises `RequestError`."""
    parameters = {**asked.parameters, "client_id": asked.client_id}
    why = why_unproved(asked.loaded, parameters, asked.headers)
    if why is not None or asked.loaded.client is None:
        raise RequestError(401, "invalid_client", why or NOT_PROVED)
    await spend_assertion(asked)
    return asked.loaded.client


async def spend_proof(asked: ClientRequest) -> None:
    """Note that the request's proof of a key, if it brought one that holds, was used. Raises `RequestError` if it was
    before.
    """
    if asked.loaded.proof is not None and not await is_first_sight(asked.service, asked.loaded.proof):
        raise RequestError(400, "invalid_dpop_proof", "The DPoP proof was used already.")


async def spend_assertion(asked: ClientRequest) -> None:
    """Note that the client's assertion, if it sent one that verified, was used. Raises `RequestError` if it was before.

    (RFC 7523, section 3, point 7.)
    """
    assertion = asked.loaded.assertion
    if assertion is None:
        return
    seconds = assertion.expires_at - int(asked.loaded.now.timestamp())
    if not await asked.service.bus.grants.spend(assertion.name, keep_seconds=seconds):
        raise RequestError(401, "invalid_client", "This client assertion was used before.")
