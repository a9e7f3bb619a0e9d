"""The GitHub stand-in over HTTP: its token endpoint in both forms, and a piece of its API."""

from typing import Final
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.sandbox.core import github as core
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled, shown, token_request
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class GithubWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Authorize": "/login/oauth/authorize",
        "Token": "/login/oauth/access_token",
        "Identity": "/user",
        "Revocation": "/applications/{client_id}/grant",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below /github, of github.com and api.github.com."""
        state = self.at.state
        token = TokenEndpoint(self.at, core.exchange, in_wanted_form)
        return [
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route(self.endpoints["Token"], guarded(state, "token", token), methods=["POST"]),
            Route(self.endpoints["Identity"], guarded(state, "api", handled(self.user))),
            Route("/user/emails", guarded(state, "api", handled(self.emails))),
            Route("/applications/{client_id}/{what}", guarded(state, "api", self.end), methods=["DELETE"]),
        ]

    def user(self, request: Request) -> Answer:
        """Who the user is."""
        return core.user(self.at.state, bearer(request, "bearer", "token"), now=self.at.now())

    def emails(self, request: Request) -> Answer:
        """The user's addresses."""
        return core.emails(self.at.state, bearer(request, "bearer", "token"), now=self.at.now())

    async def end(self, request: Request) -> Response:
        """End a token, or the whole grant with it."""
        asked: TokenRequest = await token_request(request)
        whole = request.path_params["what"] == "grant"
        return shown(core.end(self.at.state, asked, asked.body.get("access_token", ""), whole_grant=whole))


def in_wanted_form(request: Request, answer: Answer) -> Response:
    """As a form, unless the caller asks for JSON."""
    if "json" in request.headers.get("accept", ""):
        return shown(answer)
    form = urlencode(msgspec.to_builtins(answer.members))
    return Response(form, answer.status, dict(answer.headers), "application/x-www-form-urlencoded; charset=utf-8")
