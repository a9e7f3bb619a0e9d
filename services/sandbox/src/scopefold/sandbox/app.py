"""The sandbox, wired by hand."""

import secrets
import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from scopefold.runtime.web import application, json_response
from scopefold.sandbox.core import atlassian
from scopefold.sandbox.settings import Settings
from scopefold.sandbox.web import pages
from scopefold.sandbox.web.atlassian import AtlassianWeb
from scopefold.sandbox.web.keys import Keys
from scopefold.sandbox.web.playground import PlaygroundWeb
from scopefold.sandbox.web.stand_in import StandIn


def mint() -> str:
    """An unguessable text of 43 characters."""
    return secrets.token_urlsafe(32)


def build(settings: Settings) -> ASGIApp:
    """The application, with nothing in its memory but the preset app."""
    state = atlassian.preset(settings.callbacks_of("atlassian"))
    keys = Keys()
    at = StandIn("atlassian", "Atlassian", state, settings.own_address, time.time, mint, keys)
    playground = PlaygroundWeb(settings.issuer, settings.own_address, now=time.time, mint=mint)

    async def index(_: Request) -> Response:
        app = next(iter(state.apps.values()))
        return pages.page("index.html", app=app, issuer=settings.issuer, address=settings.own_address)

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    routes = [
        Route("/", index),
        Route("/healthz", health),
        Route(pages.STYLE_PATH, pages.style),
        Mount("/atlassian", routes=AtlassianWeb(at).routes()),
        *playground.routes("/playground"),
    ]
    return pages.StrictHeaders(application(routes))
