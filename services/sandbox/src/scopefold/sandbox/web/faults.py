"""Faults made real: a call waits, fails, gets no answer, or its connection breaks off."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from scopefold.runtime.logs import logger
from scopefold.runtime.web import limited_body
from scopefold.sandbox.core import faults as core
from scopefold.sandbox.core.state import State

Handler = Callable[[Request], Awaitable[Response]]
S = TypeVar("S")
log = logger(__name__)


class Cut(Response):
    """Promises an answer, and breaks the connection off before it is out; after `hold_seconds` in silence, if given."""

    def __init__(self, hold_seconds: float = 0.0) -> None:
        super().__init__()
        self.hold_seconds = hold_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the caller for at most `hold_seconds`, less if it leaves, and break off."""
        del scope
        if self.hold_seconds:
            await _until_gone(receive, self.hold_seconds)
        # The server closes a connection on which less came than was announced.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4096")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


def guarded(state: State[S], place: core.Place, handler: Handler) -> Handler:
    """The handler, struck by what the state's faults say for this place."""

    async def struck(request: Request) -> Response:
        await asyncio.sleep(core.latency_seconds(state.faults, place))
        state.faults, trouble = core.strike(state.faults, place)
        match trouble:
            case None:
                return await handler(request)
            case "hang":
                log.warning("fault: no answer", path=request.url.path)
                await limited_body(request)
                return Cut(core.HANG_SECONDS)
            case "server_error":
                log.warning("fault: failing", path=request.url.path)
                text = f"<html><body><h1>{state.faults.server_error_status}</h1>A fault by switch.</body></html>"
                after = state.faults.retry_after_seconds
                headers = {"retry-after": str(after)} if after else None
                return Response(text, state.faults.server_error_status, headers, media_type="text/html")

    return struck


async def _until_gone(receive: Receive, seconds: float) -> None:
    """Wait until the caller hangs up, at most so long."""
    try:
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = {}
            while message.get("type") != "http.disconnect":
                message = dict(await receive())
    except TimeoutError:
        return
