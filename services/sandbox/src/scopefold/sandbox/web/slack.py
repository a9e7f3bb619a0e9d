"""The Slack stand-in over HTTP: the install pages and a few methods of its Web API."""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.sandbox.core import slack as core
from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, shown, token_request
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class Method(Protocol):
    """A method of the Web API."""

    def __call__(self, state: core.State, token: str, *, now: float) -> Answer:
        """The answer, good or bad."""


class SlackWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Authorize": "/oauth/v2/authorize",
        "Token": "/api/oauth.v2.access",
        "Identity": "/api/users.identity",
        "Revocation": "/api/auth.revoke",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below /slack."""
        state = self.at.state
        token = guarded(state, "token", TokenEndpoint(self.at, core.exchange))
        methods: dict[str, Method] = {
            "auth.test": core.test,
            "auth.revoke": core.revoke,
            "users.identity": core.identity,
        }
        return [
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route(self.endpoints["Token"], token, methods=["POST"]),
            *(
                Route(f"/api/{name}", guarded(state, "api", self.calling(method)), methods=["GET", "POST"])
                for name, method in methods.items()
            ),
        ]

    def calling(self, method: Method) -> Callable[[Request], Awaitable[Response]]:
        """A method's handler. The token is in the header, or among the arguments."""

        async def handler(request: Request) -> Response:
            token = bearer(request) or (await token_request(request)).body.get("token", "")
            return shown(method(self.at.state, token, now=self.at.now()))

        return handler
