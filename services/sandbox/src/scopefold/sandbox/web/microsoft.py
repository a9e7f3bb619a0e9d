"""A Microsoft cloud over HTTP: the endpoints of each tenant, and a piece of Graph."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.sandbox.core import microsoft as core
from scopefold.sandbox.core import microsoft_tokens as tokens
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.microsoft_errors import told
from scopefold.sandbox.core.state import Mint
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class MicrosoftWeb:
    """The handlers of one cloud's stand-in."""

    endpoints: Final = {
        "Discovery": "/{tenant}/v2.0/.well-known/openid-configuration",
        "Authorize": "/{tenant}/oauth2/v2.0/authorize",
        "Token": "/{tenant}/oauth2/v2.0/token",
        "Identity": "/v1.0/me",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below the cloud's path."""
        state = self.at.state
        return [
            *Console(self.at).routes(),
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            Route(self.endpoints["Identity"], guarded(state, "api", handled(self.me))),
            Route("/v1.0/me/messages", guarded(state, "api", handled(self.messages))),
            Route("/oidc/userinfo", guarded(state, "api", handled(self.userinfo)), methods=["GET", "POST"]),
            Route(self.endpoints["Token"], guarded(state, "token", self.token), methods=["POST"]),
            Route(self.endpoints["Discovery"], guarded(state, "api", handled(self.metadata))),
            Route("/{tenant}/discovery/v2.0/keys", guarded(state, "api", self.at.keys.show)),
        ]

    async def token(self, call: Request) -> Response:
        """The token endpoint of the tenant in the path."""
        tenant = call.path_params["tenant"]

        def exchange(state: core.State, request: TokenRequest, *, now: float, mint: Mint) -> Answer:
            return tokens.exchange(state, tenant, request, now=now, mint=mint)

        return await TokenEndpoint(self.at, exchange)(call)

    def metadata(self, request: Request) -> Answer:
        """Discovery."""
        tenant = request.path_params["tenant"]
        if core.tenant_exists(self.at.state, tenant):
            return Answer(core.metadata(self.at.state, tenant))
        return Answer({"error": "invalid_tenant", "error_description": told(90002, tenant=tenant)}, 400)

    def me(self, request: Request) -> Answer:
        """Graph: the user."""
        return tokens.me(self.at.state, bearer(request), now=self.at.now())

    def messages(self, request: Request) -> Answer:
        """Graph: the user's mail."""
        return tokens.messages(self.at.state, bearer(request), now=self.at.now())

    def userinfo(self, request: Request) -> Answer:
        """Graph: the user, as OpenID Connect says it."""
        return tokens.userinfo(self.at.state, bearer(request), now=self.at.now())
