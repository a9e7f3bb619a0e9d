"""The Bitbucket Cloud stand-in over HTTP: its token endpoint and a piece of its API."""

from typing import Final

from starlette.requests import Request
from starlette.routing import Route

from scopefold.sandbox.core import atlassian
from scopefold.sandbox.core import bitbucket as core
from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.core.people import USERS
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class BitbucketWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Authorize": "/site/oauth2/authorize",
        "Token": "/site/oauth2/access_token",
        "Identity": "/2.0/user",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at

    def routes(self) -> list[Route]:
        """Everything below /bitbucket."""
        calls = {
            self.endpoints["Identity"]: self.user,
            "/2.0/user/emails": self.emails,
            "/2.0/repositories/{workspace}": self.repositories,
        }
        token = guarded(self.at.state, "token", TokenEndpoint(self.at, core.exchange))
        return [
            *SignInPages(self.at, core).routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route(self.endpoints["Token"], token, methods=["POST"]),
            *(Route(path, guarded(self.at.state, "api", handled(call))) for path, call in calls.items()),
        ]

    def user(self, request: Request) -> Answer:
        """Who the user is."""
        grant = core.authorized(self.at.state, bearer(request), "account", now=self.at.now())
        if isinstance(grant, Answer):
            return grant
        user = USERS[grant.user]
        return Answer(
            {
                "type": "user",
                "uuid": f"{{b17b0c4e-0000-4000-8000-{user.number:012}}}",
                "account_id": atlassian.account_id(user),
                "username": user.name,
                "nickname": user.name,
                "display_name": user.display_name,
                "account_status": "active",
            }
        )

    def emails(self, request: Request) -> Answer:
        """The user's addresses."""
        grant = core.authorized(self.at.state, bearer(request), "email", now=self.at.now())
        if isinstance(grant, Answer):
            return grant
        address = {"email": USERS[grant.user].email, "is_primary": True, "is_confirmed": True, "type": "email"}
        return Answer({"values": [address], "pagelen": 10, "size": 1, "page": 1})

    def repositories(self, request: Request) -> Answer:
        """The repositories of a workspace: there are none."""
        grant = core.authorized(self.at.state, bearer(request), "repository", now=self.at.now())
        return grant if isinstance(grant, Answer) else Answer({"values": [], "pagelen": 10, "size": 0, "page": 1})
