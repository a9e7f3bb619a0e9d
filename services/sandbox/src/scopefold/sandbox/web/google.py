"""The Google stand-in over HTTP: discovery, tokens, tokeninfo, userinfo, revocation, a piece of Gmail's API."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.sandbox.core import google as core
from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled, shown, token_request
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class GoogleWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Discovery": "/.well-known/openid-configuration",
        "Authorize": "/o/oauth2/v2/auth",
        "Token": "/token",
        "Identity": "/v1/userinfo",
        "Token info": "/tokeninfo",
        "Revocation": "/revoke",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below /google, of all of Google's hosts."""
        state = self.at.state
        token = TokenEndpoint(self.at, core.exchange)
        return [
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route(self.endpoints["Discovery"], guarded(state, "api", handled(lambda _: Answer(core.metadata(state))))),
            Route("/oauth2/v3/certs", guarded(state, "api", self.at.keys.show)),
            Route(self.endpoints["Token"], guarded(state, "token", token), methods=["POST"]),
            Route(self.endpoints["Revocation"], guarded(state, "token", self.revoke), methods=["POST"]),
            Route(self.endpoints["Token info"], guarded(state, "api", handled(self.tokeninfo))),
            Route(self.endpoints["Identity"], guarded(state, "api", handled(self.userinfo))),
            Route("/gmail/v1/users/me/profile", guarded(state, "api", handled(self.gmail_profile))),
        ]

    async def revoke(self, request: Request) -> Response:
        """Revocation: the token is in the query or in the body; no client authenticates."""
        token = request.query_params.get("token") or (await token_request(request)).body.get("token", "")
        return shown(core.revoke(self.at.state, token))

    def tokeninfo(self, request: Request) -> Answer:
        """What an access token is good for."""
        return core.tokeninfo(self.at.state, request.query_params.get("access_token", ""), now=self.at.now())

    def userinfo(self, request: Request) -> Answer:
        """Who the user is."""
        return core.userinfo(self.at.state, bearer(request), now=self.at.now())

    def gmail_profile(self, request: Request) -> Answer:
        """Gmail: whose mailbox this is."""
        return core.gmail_profile(self.at.state, bearer(request), now=self.at.now())
