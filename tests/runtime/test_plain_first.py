"""The router that looks plain paths up answers as the one that goes through its list."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from scopefold.runtime.web import application


def saying(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def handler(request: Request) -> Response:
        return PlainTextResponse(f"{name} {request.method} {sorted(request.path_params.items())}")

    return handler


ROUTES = [
    Mount("/behind", routes=[Route("/plain", saying("mounted"))]),
    Route("/plain", saying("plain")),
    Route("/two", saying("two: read"), methods=["GET"]),
    Route("/two", saying("two: write"), methods=["POST"]),
    Route("/{org}/taken", saying("with a parameter")),
    Route("/first/taken", saying("plain, but behind one with a parameter")),
    Route("/behind/plain", saying("plain, but behind what is mounted")),
    Route("/slash/", saying("slash")),
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["/plain", "/plain/", "/two", "/first/taken", "/other/taken", "/behind/plain", "/slash", "/slash/", "/none", "/"],
)
async def test_every_request_is_answered_as_by_the_library(method: str, path: str) -> None:
    """But that a slash too many or too few is no path of ours, where the library redirects."""
    answers, library = [], Starlette(routes=ROUTES)
    library.router.redirect_slashes = False
    for app in (application(ROUTES), library):
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as http:
            answer = await http.request(method, path)
        refused = answer.status_code >= 400  # told as a problem here, as text there
        answers.append((answer.status_code, answer.headers.get("location"), "" if refused else answer.text))
    assert answers[0] == answers[1]
