"""What programs call at any stand-in: the token endpoint, and the credentials that an API call carries."""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.runtime.logs import logger
from scopefold.runtime.web import json_response, limited_body
from scopefold.sandbox.core import faults
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.state import Mint, State
from scopefold.sandbox.web.faults import Cut
from scopefold.sandbox.web.pages import form
from scopefold.sandbox.web.stand_in import StandIn

S = TypeVar("S", bound=Struct)
log = logger(__name__)


class Exchange(Protocol[S]):
    """A provider's decision on a token request."""

    def __call__(self, state: State[S], request: TokenRequest, *, now: float, mint: Mint) -> Answer:
        """The answer, good or bad."""


class TokenEndpoint(Generic[S]):
    """A stand-in's token endpoint. `render` turns the answer into bytes where that is not plain JSON."""

    def __init__(
        self, at: StandIn[S], exchange: Exchange[S], render: Callable[[Request, Answer], Response] | None = None
    ) -> None:
        self.at = at
        self.exchange = exchange
        self.render = render or (lambda _, answer: shown(answer))

    async def __call__(self, request: Request) -> Response:
        """Take the request as a form or as JSON, decide, and answer, unless the answer is to be lost."""
        asked = await token_request(request)
        answer = self.exchange(self.at.state, asked, now=self.at.now(), mint=self.at.mint)
        if "access_token" not in answer.members:
            log.warning("token refused", path=request.url.path, error=answer.members.get("error"))
        elif asked.body.get("grant_type") == "refresh_token":
            self.at.state.faults, lost = faults.drop(self.at.state.faults)
            if lost:
                log.warning("fault: the answer to a refresh is lost", path=request.url.path)
                return Cut()
        if answer.identity is not None:
            signed = self.at.keys.sign(answer.identity, answer.algorithm)
            answer = msgspec.structs.replace(answer, body={**answer.members, "id_token": signed}, identity=None)
        return self.render(request, answer)


def shown(answer: Answer) -> Response:
    """An answer as JSON."""
    if answer.status == HTTPStatus.NO_CONTENT:
        return Response(None, answer.status)
    return json_response(answer.body, answer.status, answer.headers)


def handled(decide: Callable[[Request], Answer]) -> Callable[[Request], Awaitable[Response]]:
    """A handler that answers what is decided from the request's head alone."""

    async def handler(request: Request) -> Response:
        return shown(decide(request))

    return handler


def bearer(request: Request, *schemes: str) -> str:
    """The token in the Authorization header; empty if there is none of these schemes (bearer where none is named)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() in (schemes or ("bearer",)) else ""


async def token_request(request: Request) -> TokenRequest:
    """The members of a token request. What cannot be read counts as nothing, and is refused as a client unknown."""
    return TokenRequest(await _members(request), _basic(request))


async def _members(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return await form(request)
    try:
        members: dict[str, Any] = msgspec.json.decode(await limited_body(request), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {name: value for name, value in members.items() if isinstance(value, str)}


def _basic(request: Request) -> tuple[str, str] | None:
    """Client id and secret, form-encoded within the header (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return ("", "")
    return unquote_plus(client_id), unquote_plus(secret)
