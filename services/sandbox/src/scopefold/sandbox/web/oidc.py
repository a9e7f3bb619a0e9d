"""The generic OpenID provider over HTTP: discovery, tokens, keys, userinfo, revocation, logout."""

from http import HTTPStatus
from typing import Annotated, Final

import httpx
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scopefold.runtime.trusted import trusted
from scopefold.runtime.web import ProblemError, json_body, json_response
from scopefold.sandbox.core import oidc as core
from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.core.people import USERS
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.pages import page
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled, shown, token_request
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn

TELL_SECONDS: Final = 10.0


class LogoutEverywhere(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to log out everywhere, and the app's address that is told of it."""

    user: str
    address: Annotated[str, Meta(pattern=r"^https?://[\x21-\x7e]{1,2000}$")]


class Told(Struct, frozen=True):
    """How the app answered."""

    status: int
    body: str


class OidcWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Discovery": "/.well-known/openid-configuration",
        "Authorize": "/authorize",
        "Token": "/token",
        "Identity": "/userinfo",
        "Revocation": "/revoke",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below /oidc."""
        state = self.at.state
        token = TokenEndpoint(self.at, core.exchange)
        return [
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route(self.endpoints["Discovery"], guarded(state, "api", handled(lambda _: Answer(core.metadata(state))))),
            Route("/jwks", guarded(state, "api", self.at.keys.show)),
            Route(self.endpoints["Token"], guarded(state, "token", token), methods=["POST"]),
            Route(self.endpoints["Revocation"], guarded(state, "token", self.revoke), methods=["POST"]),
            Route(self.endpoints["Identity"], guarded(state, "api", handled(self.userinfo)), methods=["GET", "POST"]),
            Route("/logout", guarded(state, "pages", self.logout)),
            Route("/console/logout", self.tell_logout, methods=["POST"]),
        ]

    async def revoke(self, request: Request) -> Response:
        """Revocation."""
        return shown(core.revoke(self.at.state, await token_request(request)))

    def userinfo(self, request: Request) -> Answer:
        """Who the user is."""
        return core.userinfo(self.at.state, bearer(request), now=self.at.now())

    async def tell_logout(self, request: Request) -> Response:
        """Log somebody out everywhere, as an administrator would, and tell the app (Back-Channel Logout 1.0)."""
        wanted = await json_body(request, LogoutEverywhere)
        if (user := USERS.get(wanted.user)) is None:
            raise ProblemError(404, "no-such-user", "There is no such user", f"Known are: {', '.join(USERS)}.")
        at = self.at
        claims = core.logout_claims(at.state, at.app.client_id, user, now=at.now(), mint=at.mint)
        token = at.keys.sign(claims, at.state.switches.signing_algorithm)
        try:
            async with httpx.AsyncClient(timeout=TELL_SECONDS, verify=trusted()) as http:
                answer = await http.post(wanted.address, data={"logout_token": token})
        except httpx.HTTPError as error:
            raise ProblemError(502, "not-told", "The app could not be told", type(error).__name__) from None
        return json_response(Told(answer.status_code, answer.text[:2000]))

    async def logout(self, request: Request) -> Response:
        """RP-initiated logout. Nobody stays logged in here, so it only leads back."""
        wanted = request.query_params.get("post_logout_redirect_uri")
        known = {callback for app in self.at.state.apps.values() for callback in app.callbacks}
        if wanted is not None and wanted in known:
            return RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
        lines = ("You are logged out.",)
        return page("error.html", brand=self.at.brand, prefix=self.at.prefix, title="Logged out", lines=lines, note="")
