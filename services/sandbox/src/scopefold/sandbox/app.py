"""The sandbox, wired by hand."""

import secrets
import time
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from scopefold.runtime.web import application, json_response
from scopefold.sandbox.core import atlassian, bitbucket, github, google, microsoft, oidc, slack
from scopefold.sandbox.core.microsoft_scopes import CLOUDS
from scopefold.sandbox.core.state import State
from scopefold.sandbox.settings import Settings
from scopefold.sandbox.web import pages
from scopefold.sandbox.web.atlassian import AtlassianWeb
from scopefold.sandbox.web.bitbucket import BitbucketWeb
from scopefold.sandbox.web.github import GithubWeb
from scopefold.sandbox.web.google import GoogleWeb
from scopefold.sandbox.web.keys import Keys
from scopefold.sandbox.web.microsoft import MicrosoftWeb
from scopefold.sandbox.web.oidc import OidcWeb
from scopefold.sandbox.web.playground import PlaygroundWeb
from scopefold.sandbox.web.slack import SlackWeb
from scopefold.sandbox.web.stand_in import StandIn
from scopefold.sandbox.web.switches import SwitchesWeb


class Served(Protocol):
    """A stand-in with its handlers."""

    at: StandIn[Any]

    @property
    def endpoints(self) -> Mapping[str, str]:
        """What an app is told of it: paths below its prefix."""

    def routes(self) -> list[Route]:
        """Everything below its prefix."""


def mint() -> str:
    """An unguessable text of 43 characters."""
    return secrets.token_urlsafe(32)


def build(settings: Settings) -> ASGIApp:
    """The application, with nothing in its memory but one preset app for each stand-in."""
    keys, now = Keys(), time.time

    def place(name: str) -> tuple[tuple[str, ...], str]:
        return settings.callbacks_of(name), f"{settings.own_address}/{name}"

    def at(name: str, brand: str, state: State[Any]) -> StandIn[Any]:
        return StandIn(name, brand, state, now, mint, keys)

    served: list[Served] = [
        AtlassianWeb(at("atlassian", "Atlassian", atlassian.preset(*place("atlassian")))),
        BitbucketWeb(at("bitbucket", "Bitbucket", bitbucket.preset(*place("bitbucket")))),
        GoogleWeb(at("google", "Google", google.preset(*place("google")))),
        *(MicrosoftWeb(at(name, one.title, microsoft.preset(name, *place(name)))) for name, one in CLOUDS.items()),
        GithubWeb(at("github", "GitHub", github.preset(*place("github")))),
        SlackWeb(at("slack", "Slack", slack.preset(*place("slack")))),
        OidcWeb(at("oidc", "OpenID", oidc.preset(*place("oidc")))),
    ]
    playground = PlaygroundWeb(settings.issuer, settings.own_address, now=now, mint=mint)

    async def index(_: Request) -> Response:
        return pages.page("index.html", served=served, issuer=settings.issuer)

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    routes: list[BaseRoute] = [
        Route("/", index),
        Route("/healthz", health),
        Route(pages.STYLE_PATH, pages.style),
        *(Mount(one.at.prefix, routes=one.routes()) for one in served),
        *SwitchesWeb([one.at for one in served]).routes("/switches"),
        *playground.routes("/playground"),
    ]
    return pages.StrictHeaders(application(routes))
