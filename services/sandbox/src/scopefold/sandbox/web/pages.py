"""HTML pages: templates, the one style sheet, the headers that every answer carries, and forms that come back."""

from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scopefold.runtime.web import ProblemError, limited_body

STYLE_PATH: Final = "/sandbox.css"
MOST_FIELDS: Final = 1000
STRICT_HEADERS: Final = {
    # There is no form-action: Chromium holds it against every redirect that follows a form, and the consent form's
    # answer leads to whichever client is registered, and from there on to that client's own clients.
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_TEMPLATES: Final = Environment(
    loader=PackageLoader("scopefold.sandbox"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_STYLE: Final = files("scopefold.sandbox").joinpath("templates", "sandbox.css").read_bytes()


class StrictHeaders:
    """Puts `STRICT_HEADERS` on every answer, also on refusals."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(STRICT_HEADERS)
            await send(message)

        await self.app(scope, receive, with_headers)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A template as an answer."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(**values), status)


async def style(_: Request) -> Response:
    """The one style sheet."""
    return Response(_STYLE, media_type="text/css")


async def form(request: Request) -> dict[str, str]:
    """The fields of a posted form. A field given twice is refused (RFC 6749, section 3.2). Raises `ProblemError`."""
    try:
        pairs = parse_qsl((await limited_body(request)).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise ProblemError(400, "malformed-body", "The form cannot be read", str(error)) from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ProblemError(400, "malformed-body", "The form cannot be read", "A field is given twice.")
    return fields
