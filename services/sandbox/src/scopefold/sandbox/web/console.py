"""The developer console of any stand-in as an API: its apps, its switches, its faults, the grants of its users.

It has no login, which is why the sandbox belongs on a loopback address.
"""

from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.runtime.web import ProblemError, json_body, json_response
from scopefold.sandbox.core import grants
from scopefold.sandbox.core.faults import Faults
from scopefold.sandbox.core.state import App
from scopefold.sandbox.web.stand_in import StandIn

S = TypeVar("S", bound=Struct)
Callback = Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]{1,2000}$")]
Scope = Annotated[str, Meta(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,255}$")]


class AppSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the developer console lets one change of an app."""

    name: Annotated[str, Meta(min_length=1, max_length=100)]
    callbacks: Annotated[tuple[Callback, ...], Meta(max_length=50)]
    permitted_scopes: Annotated[tuple[Scope, ...], Meta(max_length=500)]


class Revocation(Struct, frozen=True, forbid_unknown_fields=True):
    """Which grant to remove."""

    user: str
    client_id: str


class Console(Generic[S]):
    """The console of one stand-in."""

    def __init__(self, at: StandIn[S]) -> None:
        self.state = at.state

    def routes(self) -> list[Route]:
        """The console's addresses."""
        return [
            Route("/console/apps/{client_id}", self.show_app, methods=["GET"]),
            Route("/console/apps/{client_id}", self.change_app, methods=["PUT"]),
            Route("/console/switches", self.change_switches, methods=["PUT"]),
            Route("/console/faults", self.change_faults, methods=["PUT"]),
            Route("/console/revoke", self.revoke, methods=["POST"]),
        ]

    async def show_app(self, request: Request) -> Response:
        """An app, without its secret."""
        return json_response(view_of(self._app(request)))

    async def change_app(self, request: Request) -> Response:
        """Rename an app, or change its callbacks and permitted scopes; grants already given stay as they are."""
        app, wanted = self._app(request), await json_body(request, AppSettings)
        self.state.apps[app.client_id] = changed(app, wanted)
        return await self.show_app(request)

    async def change_switches(self, request: Request) -> Response:
        """Set every switch; one that is left out goes back to where it stood at first."""
        self.state.switches = await json_body(request, type(self.state.switches))
        return json_response(self.state.switches)

    async def change_faults(self, request: Request) -> Response:
        """Set every fault; one that is left out is off."""
        self.state.faults = await json_body(request, Faults)
        return json_response(self.state.faults)

    async def revoke(self, request: Request) -> Response:
        """Remove a grant, as its user could among the apps of the account."""
        wanted = await json_body(request, Revocation)
        return json_response({"revoked": grants.revoke(self.state, user=wanted.user, client_id=wanted.client_id)})

    def _app(self, request: Request) -> App:
        client_id = request.path_params["client_id"]
        if (app := self.state.apps.get(client_id)) is None:
            known = ", ".join(self.state.apps)
            raise ProblemError(404, "no-such-app", "There is no such app", f"{client_id} is not one of: {known}.")
        return app


def view_of(app: App) -> dict[str, Any]:
    """What the console shows of an app."""
    shown = {"client_id": app.client_id, "name": app.name, "callbacks": app.callbacks}
    return {**shown, "permitted_scopes": sorted(app.permitted_scopes)}


def changed(app: App, wanted: AppSettings) -> App:
    """The app as it is wanted."""
    return replace(
        app, name=wanted.name, callbacks=wanted.callbacks, permitted_scopes=frozenset(wanted.permitted_scopes)
    )
