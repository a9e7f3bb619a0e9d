"""A thin layer over Starlette: msgspec Structs in and out, problem+json for every refusal, OpenAPI from routes."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router
from starlette.types import Receive, Scope, Send

from scopefold.contracts.schemas import schema_components
from scopefold.contracts.words import EXAMPLES
from scopefold.runtime.logs import logger
from scopefold.runtime.secret import Secret

MAX_BODY_BYTES: Final = 256 * 1024
MOST_BYTES_THROWN_AWAY: Final = 8 * MAX_BODY_BYTES
BODY_SECONDS: Final = 20.0
MOST_BYTES_REMEMBERED: Final = 512
"""Of a query string whose meaning is kept in memory."""
PROBLEM_PREFIX: Final = "urn:scopefold:problem:"
JSON_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""Caches keep even refusals such as 404 and 405 where they are not told otherwise (RFC 9110, section 15.1)."""
T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]
ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]
log = logger(__name__)


class ProblemError(Exception):
    """A refusal that is told to the caller as problem+json (RFC 9457)."""

    def __init__(
        self,
        status: int,
        kind: str,
        title: str,
        detail: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.kind = kind
        self.headers = dict(headers or {})
        self.body: dict[str, Any] = {"type": PROBLEM_PREFIX + kind, "title": title, "status": status}
        if detail:
            self.body["detail"] = detail
        self.body.update(extra)


def problem_response(error: ProblemError) -> Response:
    """The refusal as an answer."""
    headers = {**JSON_HEADERS, **error.headers}
    return Response(msgspec.json.encode(error.body), error.status, headers, media_type="application/problem+json")


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A Struct, or anything that msgspec encodes, as an answer that no cache keeps."""
    return Response(msgspec.json.encode(value), status, {**JSON_HEADERS, **(headers or {})}, "application/json")


async def json_body(request: Request, kind: type[T]) -> T:
    """The request's body as this Struct. Raises `ProblemError` with what to change."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ProblemError(
            415, "media-type", "The body is not JSON", "Send the body with content-type: application/json."
        )
    try:
        return msgspec.json.decode(await limited_body(request), type=kind)
    except msgspec.ValidationError as error:
        raise ProblemError(422, "invalid-body", "The body breaks a rule of this API", rule_of(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemError(400, "malformed-body", "The body cannot be read", str(error)) from None


def rule_of(error: msgspec.ValidationError) -> str:
    """The rule that a value breaks, with a pattern as people write one, `$` for its end, and what it looks like."""
    found = _PATTERN.fullmatch(str(error))
    if found is None:
        return str(error)
    example = _EXAMPLES.get(found["pattern"])
    pattern = found["pattern"].replace(_END, "$").replace(r"\\", "\\")
    rule = f"{found['place'] or 'It'} must match {pattern}"
    return rule if example is None else f"{rule}, such as {example}"


_EXAMPLES: Final = {repr(pattern)[1:-1]: example for pattern, example in EXAMPLES.items()}
_PATTERN: Final = re.compile(r"Expected `str` matching regex '(?P<pattern>.*)'(?: - at (?P<place>`.*`))?", re.DOTALL)
_END: Final = r"(?![\\s\\S])"


async def limited_body(request: Request, *, seconds: float = BODY_SECONDS) -> bytes:
    """The request's body, refused above 256 KiB, and where it is not here in time: there are only so many connections,
    and who sends a byte a minute would have one for ever.

    What is too much is read on and thrown away, up to a bound: a connection that is closed on a client that still
    sends takes the answer with it.
    """
    body, size = bytearray(), 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MOST_BYTES_THROWN_AWAY:
                    break
                if size <= MAX_BODY_BYTES:
                    body += chunk
    except TimeoutError:
        title, detail = "The body comes too slowly", f"Send it within {seconds:g} seconds."
        raise ProblemError(408, "body-too-slow", title, detail, headers={"connection": "close"}) from None
    except ClientDisconnect:  # nobody is there to read the answer, and nothing is wrong here
        raise ProblemError(400, "incomplete-body", "The body ended before its end") from None
    if size > MAX_BODY_BYTES:
        raise ProblemError(413, "body-too-large", "The body is too large", f"The limit is {MAX_BODY_BYTES} bytes.")
    return bytes(body)


def query(request: Request, kind: type[T]) -> T:
    """The query string as this frozen Struct; a parameter given twice is refused. Raises `ProblemError`."""
    text: bytes = request.scope["query_string"]
    read = _read_before if len(text) <= MOST_BYTES_REMEMBERED else _read_query
    return cast("T", read(text, cast("Any", kind)))


def _read_query(text: bytes, kind: type[Any]) -> Any:
    pairs = parse_qsl(text.decode("latin-1"), keep_blank_values=True)
    names = [name for name, _ in pairs]
    known = {field.encode_name for field in msgspec.structs.fields(kind)}
    if wrong := sorted({name for name in names if names.count(name) > 1 or name not in known}):
        detail = f"Given twice or not known: {', '.join(wrong)}. Known: {', '.join(sorted(known))}."
        raise ProblemError(400, "invalid-query", "The query cannot be read", detail)
    try:
        return msgspec.convert(dict(pairs), kind, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, "invalid-query", "The query breaks a rule of this API", rule_of(error)) from None


_read_before: Final = lru_cache(maxsize=1024)(_read_query)
"""Gateways ask the same thing again and again. Refusals are not remembered."""


def sent_once(request: Request, name: str) -> str | None:
    """A header that tells one thing (RFC 9110, section 5.3). Sent twice, it tells one reader a gateway's word, and the
    next one a user's. Raises `ProblemError`.
    """
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise ProblemError(400, "header-twice", "A header was sent twice", f"Send {name} once.")
    return values[0] if values else None


def require_bearer(*expected: Secret) -> Callable[[Handler], Handler]:
    """Lets a request through only with one of these bearer credentials (RFC 6750, section 2.1)."""
    known = [one.reveal().encode() for one in expected]

    def wrap(handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            scheme, _, given = (sent_once(request, "authorization") or "").partition(" ")
            presented = given.strip().encode() if scheme.lower() == "bearer" else b""
            matching = [hmac.compare_digest(presented, one) for one in known]  # each is looked at: it takes as long
            if not presented or not any(matching):
                raise ProblemError(
                    401,
                    "unauthorised",
                    "An admin credential is needed",
                    "Send it as: Authorization: Bearer <admin token>.",
                    headers={"www-authenticate": 'Bearer realm="scopefold admin"'},
                )
            return await handler(request)

        return guarded

    return wrap


class Endpoint(Struct, frozen=True, kw_only=True):
    """One operation of an API: what it takes, what it gives, and how it may refuse."""

    method: str
    path: str
    summary: str
    handler: Handler
    body: Any = None
    query: Any = None
    answers: Mapping[int, Any] = {}
    problems: Sequence[int] = ()


def route(endpoint: Endpoint) -> Route:
    """The endpoint as a Starlette route. Under /v1 what it does not take is refused: whoever sends a `dry_run` that
    nobody reads would have the thing itself done.
    """

    async def strict(request: Request) -> Response:
        _refuse_what_nobody_reads(endpoint, request)
        return await endpoint.handler(request)

    handler = strict if _is_strict(endpoint) else endpoint.handler
    return Route(endpoint.path, handler, methods=[endpoint.method], name=endpoint.summary)


_SAYS_NOTHING: Final = ("0", "2")
"""Lengths of a body that can tell nothing: none, and `{}`, which many clients send with every request."""


def _is_strict(endpoint: Endpoint) -> bool:
    return "/v1/" in endpoint.path and None in (endpoint.query, endpoint.body)


def _refuse_what_nobody_reads(endpoint: Endpoint, request: Request) -> None:
    if endpoint.query is None and (given := request.query_params.keys()):
        detail = f"Not known: {', '.join(sorted(given))}. This takes no parameters in its address."
        raise ProblemError(400, "invalid-query", "The query cannot be read", detail)
    writes = endpoint.method != "GET"
    if writes and endpoint.body is None and request.headers.get("content-length", "0") not in _SAYS_NOTHING:
        raise ProblemError(400, "unexpected-body", "This takes no body", "Nothing was done. Send it without one.")


def openapi(title: str, version: str, endpoints: Sequence[Endpoint], *, secured: bool) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these endpoints, made from their Structs."""
    kinds: list[Any] = []
    for endpoint in endpoints:
        kinds += [kind for kind in (endpoint.body, endpoint.query, *endpoint.answers.values()) if kind is not None]
    schemas, components = schema_components(kinds, ref_template="#/components/schemas/{name}")
    found = iter(schemas)
    paths: dict[str, Any] = {}
    for endpoint in endpoints:
        body = next(found) if endpoint.body is not None else None
        parameters = next(found) if endpoint.query is not None else None
        answers = {status: next(found) if kind is not None else None for status, kind in endpoint.answers.items()}
        operation = _operation(endpoint, body, parameters, answers, components)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"schemas": {**components, "Problem": _PROBLEM_SCHEMA}},
    }
    if secured:
        document["components"]["securitySchemes"] = {"admin": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"admin": []}]
    return document


_PROBLEM_SCHEMA: Final = {
    "type": "object",
    "description": "What went wrong and what to do about it (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}


def _operation(
    endpoint: Endpoint, body: Any, parameters: Any, answers: Mapping[int, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": endpoint.summary, "responses": {}}
    listed = [
        {"name": name[1:-1].partition(":")[0], "in": "path", "required": True, "schema": {"type": "string"}}
        for name in endpoint.path.split("/")
        if name.startswith("{")
    ]
    if parameters is not None:
        schema = components[parameters["$ref"].rpartition("/")[2]]
        for name, kind in schema["properties"].items():
            required = name in schema.get("required", ())
            listed.append({"name": name, "in": "query", "required": required, "schema": kind})
    if listed:
        operation["parameters"] = listed
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    for status, answer in answers.items():
        described: dict[str, Any] = {"description": "Done." if status < 300 else "See other."}
        if answer is not None:
            described["content"] = {"application/json": {"schema": answer}}
        operation["responses"][str(status)] = described
    for status in sorted({*endpoint.problems, *([400] if _is_strict(endpoint) else ())}):
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][str(status)] = {"description": "Refused.", "content": content}
    return operation


def application(
    routes: Sequence[BaseRoute], *, exception_handlers: Mapping[type[Exception], ErrorHandler] | None = None
) -> Starlette:
    """A Starlette application in which every refusal and every failure is problem+json.

    `exception_handlers` says how a service answers its own errors.
    """
    handlers: dict[Any, Any] = {ProblemError: _refused, HTTPException: _http_error, Exception: _failed}
    made = Starlette(exception_handlers={**handlers, **(exception_handlers or {})})
    made.router = PlainFirst(routes)
    return made


class PlainFirst(Router):
    """A router that finds paths without a parameter in one look; for all others it goes through its list, as ever.

    A path with a slash too many is none of ours: a redirect to the right one would be made of the Host that the request
    names, and with 307 it would send on whatever was posted (RFC 9700, sections 4.11 and 4.12).
    """

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        super().__init__(routes, redirect_slashes=False)
        self._plain: dict[str, Route] = {}
        for place, one in enumerate(routes):
            if isinstance(one, Route) and "{" not in one.path:
                asked = {"type": "http", "path": one.path, "method": "GET"}
                if all(earlier.matches(asked)[0] is Match.NONE for earlier in routes[:place]):
                    self._plain[one.path] = one

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. A method that the path does not know is refused by the list, as ever."""
        route = self._plain.get(scope["path"]) if scope["type"] == "http" and not scope.get("root_path") else None
        if route is None or route.methods is None or scope["method"] not in route.methods:
            await super().app(scope, receive, send)
            return
        scope.update({"router": self, "route": route, "endpoint": route.endpoint, "path_params": {}})
        await route.app(scope, receive, send)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(problem_of(request, error))


def problem_of(request: Request, error: HTTPException) -> ProblemError:
    """The framework's own refusal, of a path or a method, as ours."""
    kinds = {404: ("not-found", "There is nothing here"), 405: ("method", "This method is not allowed here")}
    kind, title = kinds.get(error.status_code, ("http", str(error.detail)))
    detail = f"{request.method} {request.url.path}"
    return ProblemError(error.status_code, kind, title, detail, headers=error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return problem_response(failure_of(request, error))


def failure_of(request: Request, error: Exception) -> ProblemError:
    """What is told of an error that nobody foresaw. All that is known of it goes to the service's own log alone."""
    log.error(
        "request failed", method=request.method, path=request.url.path, error=type(error).__name__, exc_info=error
    )
    detail = "It was logged. Try again; if it stays, look for this path in the log of the service."
    return ProblemError(500, "failure", "Something failed on our side", detail)
