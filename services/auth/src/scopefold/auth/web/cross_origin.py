"""Answers that scripts on pages of other sites may read (CORS, Fetch standard section 3.2).

An app that lives in a browser calls the token endpoint and its kin from its own page. What is called so takes all that
it needs from the request itself: a code, a token, a proof, never a cookie. So every site may read it, and no browser
may send credentials of its own along.
"""

from collections.abc import Sequence
from typing import Final

from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scopefold.runtime.web import Handler

PREFLIGHT_SECONDS: Final = 7200
"""The longest that any browser remembers the answer to a preflight."""

EVERY_SITE: Final = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "DPoP-Nonce, Retry-After, WWW-Authenticate",
}
"""They are on every answer, to whomever: a cache may give the answer to one who did not say where it is from to one
who did. A nonce must be readable (RFC 9449, section 8), and so must what a refusal asks for.
"""

_EVERY_SITE: Final = [(name.encode(), value.encode()) for name, value in EVERY_SITE.items()]

HEADERS_TAKEN: Final = "Authorization, Content-Type, DPoP, MCP-Protocol-Version"


class CrossOrigin:
    """Around one route: answers preflights, and lets every site read what the route answers, refusals too."""

    def __init__(self, app: ASGIApp, methods: Sequence[str]) -> None:
        self._app = app
        self._preflight = {
            **EVERY_SITE,
            "access-control-allow-methods": ", ".join(methods),
            "access-control-allow-headers": HEADERS_TAKEN,
            "access-control-max-age": str(PREFLIGHT_SECONDS),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_EVERY_SITE]
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers=self._preflight)(scope, receive, send)
        else:
            await self._app(scope, receive, with_leave)


def readable(path: str, handler: Handler, methods: Sequence[str] = ("GET",)) -> Route:
    """A route whose answers scripts of every site may read."""
    around = Middleware(CrossOrigin, methods=methods)
    return Route(path, handler, methods=[*methods, "OPTIONS"], middleware=[around])
