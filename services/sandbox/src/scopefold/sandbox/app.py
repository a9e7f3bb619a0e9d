"""The sandbox, wired by hand."""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct
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

PROFILES: Final[Mapping[str, Sequence[str]]] = {
    "microsoft": ("microsoft", "microsoft-gcc"),
    "microsoft-us": ("microsoft-gcc-high", "microsoft-dod"),
    "microsoft-cn": ("microsoft-china",),
}
"""Which kinds of provider a stand-in serves for, where that is not the one of its own name."""


class Served(Protocol):
    """A stand-in with its handlers."""

    at: StandIn[Any]

    @property
    def endpoints(self) -> Mapping[str, str]:
        """What an app is told of it: paths below its prefix."""

    def routes(self) -> list[Route]:
        """Everything below its prefix."""


class Described(Struct, frozen=True):
    """What a program needs to register a stand-in as an identity provider.

    `endpoints` names the discovery document alone where there is one: it tells the rest. `app` is the app's place in
    the stand-in's console, where its callbacks can be changed.
    """

    name: str
    title: str
    profiles: Sequence[str]
    client_id: str
    client_secret: str
    endpoints: Mapping[str, str]
    app: str


def described(one: Served) -> Described:
    """A stand-in for programs."""
    at, app = one.at, one.at.app
    paths = {name.lower(): path.replace("{tenant}", "common") for name, path in one.endpoints.items()}
    told = [name for name in ("authorize", "token", "identity", "revocation") if name in paths]
    return Described(
        name=at.name,
        title=at.brand,
        profiles=PROFILES.get(at.name, (at.name,)),
        client_id=app.client_id,
        client_secret=app.client_secret,
        endpoints={name: at.state.base + paths[name] for name in (["discovery"] if "discovery" in paths else told)},
        app=f"{at.state.base}/console/apps/{app.client_id}",
    )


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

    async def stand_ins(_: Request) -> Response:
        return json_response({"items": [described(one) for one in served]})

    async def health(_: Request) -> Response:
        return json_response({"status": "ok"})

    routes: list[BaseRoute] = [
        Route("/", index),
        Route("/healthz", health),
        Route("/stand-ins.json", stand_ins),
        Route(pages.STYLE_PATH, pages.style),
        *(Mount(one.at.prefix, routes=one.routes()) for one in served),
        *SwitchesWeb([one.at for one in served]).routes("/switches"),
        *playground.routes("/playground"),
    ]
    return pages.StrictHeaders(application(routes))
