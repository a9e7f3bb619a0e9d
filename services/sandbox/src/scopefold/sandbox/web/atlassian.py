"""The Atlassian stand-in over HTTP: its token endpoint and the API gateway, beside the pages that all have."""

from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.runtime.web import json_body
from scopefold.sandbox.core import atlassian as core
from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.web.console import Console
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.programs import TokenEndpoint, bearer, handled, shown
from scopefold.sandbox.web.sign_in import SignInPages
from scopefold.sandbox.web.stand_in import StandIn


class NewContent(Struct, frozen=True):
    """A Confluence page to create; only what the stand-in echoes."""

    title: str = ""
    type: str = "page"


class AtlassianWeb:
    """The handlers of the stand-in."""

    endpoints: Final = {
        "Authorize": "/authorize",
        "Token": "/oauth/token",
        "Identity": "/me",
        "Sites": "/oauth/token/accessible-resources",
    }

    def __init__(self, at: StandIn[core.Switches]) -> None:
        self.at = at
        self.pages = SignInPages(at, core)
        self.token = TokenEndpoint(at, core.exchange)

    def routes(self) -> list[Route]:
        """Everything below /atlassian."""
        calls = {
            self.endpoints["Identity"]: handled(self.me),
            self.endpoints["Sites"]: handled(self.accessible_resources),
            "/ex/jira/{cloudid}/rest/api/3/myself": handled(self.myself),
        }
        content = "/ex/confluence/{cloudid}/wiki/rest/api/content"
        return [
            *self.pages.routes(self.endpoints["Authorize"]),
            *Console(self.at).routes(),
            Route("/error", self.pages.error),
            Route(self.endpoints["Token"], guarded(self.at.state, "token", self.token), methods=["POST"]),
            *(Route(path, guarded(self.at.state, "api", handler)) for path, handler in calls.items()),
            Route(content, guarded(self.at.state, "api", self.create_content), methods=["POST"]),
        ]

    def me(self, request: Request) -> Answer:
        """Who the user is (User identity API)."""
        user = self._user(request, "read:me")
        if isinstance(user, Answer):
            return user
        profile = {
            "account_type": "atlassian",
            "account_id": core.account_id(user),
            "email": user.email,
            "name": user.display_name,
            "nickname": user.name,
            "picture": f"{core.SITE.url}/people/{user.name}.png",
            "account_status": "active",
            "zoneinfo": "Europe/Berlin",
            "locale": "en-GB",
            "extended_profile": {"job_title": "Tester", "organization": "Sandbox", "department": "", "location": ""},
        }
        return Answer(profile)

    def accessible_resources(self, request: Request) -> Answer:
        """Which sites the token reaches; any live token may ask."""
        grant = core.authorized(self.at.state, bearer(request), None, now=self.at.now())
        return grant if isinstance(grant, Answer) else Answer(core.accessible_resources(self.at.state, grant))

    def myself(self, request: Request) -> Answer:
        """Jira: the current user."""
        user = self._user(request, "read:jira-user")
        if isinstance(user, Answer):
            return user
        account_id = core.account_id(user)
        return Answer(
            {
                "self": f"{core.SITE.url}/rest/api/3/user?accountId={account_id}",
                "accountId": account_id,
                "accountType": "atlassian",
                "emailAddress": user.email,
                "displayName": user.display_name,
                "active": True,
                "timeZone": "Europe/Berlin",
            }
        )

    async def create_content(self, request: Request) -> Response:
        """Confluence: answer as if a page were created. Nothing is kept."""
        user = self._user(request, "write:confluence-content")
        if isinstance(user, Answer):
            return shown(user)
        content = await json_body(request, NewContent)
        return shown(Answer({"id": "65537", "type": content.type, "status": "current", "title": content.title}))

    def _user(self, request: Request, scope: str) -> User | Answer:
        """Whose token this is, if it has the scope and the site in the path is the sandbox's."""
        grant = core.authorized(self.at.state, bearer(request), scope, now=self.at.now())
        if isinstance(grant, Answer):
            return grant
        if request.path_params.get("cloudid", core.SITE.id) not in {core.SITE.id, *grant.sites}:
            return Answer({"code": 404, "message": "Not Found"}, 404)
        return USERS[grant.user]
