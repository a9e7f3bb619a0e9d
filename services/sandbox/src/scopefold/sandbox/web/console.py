"""The developer console of any stand-in as an API: its apps, its switches, its faults, the grants of its users.

It has no login, which is why the sandbox belongs on a loopback address.
"""

from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.structs import asdict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.runtime.web import ProblemError, json_body, json_response
from scopefold.sandbox.core import console as core
from scopefold.sandbox.core import grants
from scopefold.sandbox.core.faults import Faults
from scopefold.sandbox.core.state import App
from scopefold.sandbox.web.stand_in import StandIn

S = TypeVar("S", bound=Struct)


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
        app = self._app(request)
        return json_response({"client_id": app.client_id, **asdict(core.settings_of(app))})

    async def change_app(self, request: Request) -> Response:
        """Rename an app, or change its callbacks and permitted scopes; grants already given stay as they are."""
        core.change(self.state, self._app(request), await json_body(request, core.AppSettings))
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
