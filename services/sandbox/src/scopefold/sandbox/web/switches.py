"""The page that shows and sets everything: each stand-in's app, switches, faults and grants. As a form and as JSON.

It has no login, which is why the sandbox belongs on a loopback address.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scopefold.runtime.web import ProblemError, json_body, json_response
from scopefold.sandbox.core import console, grants
from scopefold.sandbox.core.faults import Faults
from scopefold.sandbox.core.forms import Field, fields_of, read
from scopefold.sandbox.web.pages import form, page
from scopefold.sandbox.web.stand_in import StandIn

SWITCHES, FAULTS, APP = "switches", "faults", "app"


class Section(Struct, frozen=True):
    """One stand-in on the page."""

    at: StandIn[Any]
    parts: Sequence[tuple[str, str, list[Field]]]
    changed: int
    grants: Sequence[Any]


class SwitchesWeb:
    """The page of these stand-ins."""

    def __init__(self, stand_ins: Sequence[StandIn[Any]]) -> None:
        self.stand_ins = {at.name: at for at in stand_ins}

    def routes(self, path: str) -> list[Route]:
        """The page at this path, and what its forms come back to."""
        return [
            Route(path, self.show, methods=["GET"]),
            Route(path, self.put, methods=["PUT"]),
            Route(f"{path}/{{name}}", self.post, methods=["POST"]),
            Route(f"{path}/{{name}}/revoke", self.revoke, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page for a browser, JSON for a program."""
        if "text/html" not in request.headers.get("accept", ""):
            return json_response({name: console.shown(at.state) for name, at in self.stand_ins.items()})
        opened = request.query_params.get("open", "")
        sections = [_section(at) for at in self.stand_ins.values()]
        return page("switches.html", sections=sections, opened=opened, saved="saved" in request.query_params)

    async def put(self, request: Request) -> Response:
        """Set what the body names, all of it or, if something in it is wrong, nothing."""
        body = await json_body(request, dict[str, console.Wanted])
        if unknown := sorted(body.keys() - self.stand_ins.keys()):
            raise ProblemError(422, "invalid-body", "There is no such stand-in", f"Not known: {', '.join(unknown)}.")
        try:
            parts = [
                (self.stand_ins[name].state, console.read(self.stand_ins[name].state, body[name])) for name in body
            ]
        except msgspec.ValidationError as error:
            raise ProblemError(422, "invalid-body", "The body breaks a rule of this API", str(error)) from None
        for state, wanted in parts:
            console.apply(state, *wanted)
        return json_response({name: console.shown(self.stand_ins[name].state) for name in body})

    async def post(self, request: Request) -> Response:
        """Set one stand-in from its form."""
        at, said = self._named(request), await form(request)
        try:
            wanted = (
                read(APP, console.AppSettings, said),
                read(SWITCHES, type(at.state.switches), said),
                read(FAULTS, Faults, said),
            )
        except msgspec.ValidationError as error:
            raise ProblemError(422, "invalid-body", "The form breaks a rule", str(error)) from None
        console.apply(at.state, *wanted)
        return _back_to(at)

    async def revoke(self, request: Request) -> Response:
        """Remove one grant, as its user could among the apps of the account."""
        at, said = self._named(request), await form(request)
        grants.revoke(at.state, user=said.get("user", ""), client_id=said.get("client_id", ""))
        return _back_to(at)

    def _named(self, request: Request) -> StandIn[Any]:
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise ProblemError(403, "foreign-form", "The form was sent by another site's page", "Use this page.")
        if (at := self.stand_ins.get(request.path_params["name"])) is None:
            raise ProblemError(404, "no-such-stand-in", "There is no such stand-in", ", ".join(self.stand_ins))
        return at


def _section(at: StandIn[Any]) -> Section:
    state = at.state
    switches, faults = fields_of(SWITCHES, state.switches), fields_of(FAULTS, state.faults)
    parts = [
        ("How it behaves", SWITCHES, switches),
        ("What goes wrong", FAULTS, faults),
        ("The app in its console", APP, fields_of(APP, console.settings_of(console.app_of(state)))),
    ]
    changed = sum(field.changed for field in (*switches, *faults))
    return Section(at, parts, changed, tuple(state.grants.values()))


def _back_to(at: StandIn[Any]) -> Response:
    return RedirectResponse(f"/switches?saved&open={at.name}#{at.name}", HTTPStatus.SEE_OTHER)
