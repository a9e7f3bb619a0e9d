"""The Atlassian stand-in over HTTP: authorize, log in, consent, token, the API gateway, and its developer console."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_body, json_response, limited_body
from scopefold.sandbox.core import atlassian as core
from scopefold.sandbox.core import atlassian_state as records
from scopefold.sandbox.core.atlassian_scopes import words_of
from scopefold.sandbox.web.pages import form, page

BROWSER_COOKIE: Final = "sandbox_atlassian_browser"
log = logger(__name__)

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


class NewContent(Struct, frozen=True):
    """A Confluence page to create; only what the stand-in echoes."""

    title: str = ""
    type: str = "page"


class AtlassianWeb:
    """The handlers and the state that they share. `now` is in seconds since 1970."""

    def __init__(self, state: records.State, *, now: Callable[[], float], mint: core.Mint) -> None:
        self.state = state
        self.now = now
        self.mint = mint

    def routes(self) -> list[Route]:
        """Everything below /atlassian."""
        return [
            Route("/authorize", self.authorize),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/consent", self.decide, methods=["POST"]),
            Route("/error", self.error),
            Route("/oauth/token", self.token, methods=["POST"]),
            Route("/me", self.me),
            Route("/oauth/token/accessible-resources", self.accessible_resources),
            Route("/ex/jira/{cloudid}/rest/api/3/myself", self.myself),
            Route("/ex/confluence/{cloudid}/wiki/rest/api/content", self.create_content, methods=["POST"]),
            Route("/console/apps/{client_id}", self.show_app, methods=["GET"]),
            Route("/console/apps/{client_id}", self.change_app, methods=["PUT"]),
            Route("/console/switches", self.change_switches, methods=["PUT"]),
            Route("/console/revoke", self.revoke, methods=["POST"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """Show the login page, whatever the request: the real one judges nothing before the login."""
        browser = request.cookies.get(BROWSER_COOKIE) or self.mint()
        query = request.query_params.multi_items()
        transaction = core.begin(self.state, query, browser=browser, now=self.now(), mint=self.mint)
        hint = request.query_params.get("login_hint")
        answer = page("atlassian_login.html", transaction=transaction, users=records.USERS.values(), hint=hint)
        answer.set_cookie(
            BROWSER_COOKIE,
            browser,
            path="/atlassian",
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    async def log_in(self, request: Request) -> Response:
        """The user chose an account."""
        fields, browser = await form(request), request.cookies.get(BROWSER_COOKIE, "")
        outcome = core.log_in(
            self.state,
            fields.get("transaction", ""),
            fields.get("user", ""),
            browser=browser,
            now=self.now(),
            mint=self.mint,
        )
        match outcome:
            case records.Consent():
                asked = [(scope, words_of(scope)) for scope in outcome.scopes]
                return page("atlassian_consent.html", consent=outcome, asked=asked, site=records.SITE)
            case records.ErrorPage():
                log.warning("authorize refused", reason=outcome.reason)
                return page("atlassian_error.html", 400, title=outcome.title, lines=outcome.lines, note=outcome.reason)
            case records.ErrorRedirect():
                return self._to_error(outcome)

    async def decide(self, request: Request) -> Response:
        """The user accepted or cancelled."""
        fields, browser = await form(request), request.cookies.get(BROWSER_COOKIE, "")
        if (decision := fields.get("decision")) not in ("accept", "cancel"):
            raise ProblemError(400, "decision", "The form is not complete", "decision must be accept or cancel.")
        outcome = core.decide(
            self.state,
            fields.get("transaction", ""),
            accepted=decision == "accept",
            site=fields.get("site", ""),
            browser=browser,
            now=self.now(),
            mint=self.mint,
        )
        if isinstance(outcome, records.ErrorRedirect):
            return self._to_error(outcome)
        return RedirectResponse(outcome.url, HTTPStatus.SEE_OTHER)

    async def error(self, request: Request) -> Response:
        """The page that stands for id.atlassian.com/error."""
        query = request.query_params
        lines = (query.get("error_description", "No description was given."), f"Error: {query.get('error', 'unknown')}")
        return page(
            "atlassian_error.html", 400, title="Something went wrong", lines=lines, note=query.get("sandbox_note", "")
        )

    async def token(self, request: Request) -> Response:
        """The token endpoint: JSON as documented, or a form as libraries send it."""
        body = await _token_request(request)
        outcome = core.exchange(self.state, body, now=self.now(), mint=self.mint)
        if isinstance(outcome, records.TokenRefused):
            log.warning("token refused", error=outcome.error, reason=outcome.description)
            return json_response({"error": outcome.error, "error_description": outcome.description}, outcome.status)
        return json_response(outcome)

    async def me(self, request: Request) -> Response:
        """Who the user is (User identity API)."""
        grant = self._authorized(request, "read:me")
        if isinstance(grant, records.ApiRefused):
            return _refused(grant)
        user = records.USERS[grant.user]
        profile = {
            "account_type": "atlassian",
            "account_id": user.account_id,
            "email": user.email,
            "name": user.display_name,
            "nickname": user.name,
            "picture": f"{records.SITE.url}/people/{user.name}.png",
            "account_status": "active",
            "zoneinfo": "Europe/Berlin",
            "locale": "en-GB",
            "extended_profile": {"job_title": "Tester", "organization": "Sandbox", "department": "", "location": ""},
        }
        return json_response(profile)

    async def accessible_resources(self, request: Request) -> Response:
        """Which sites the token reaches; any live token may ask."""
        grant = self._authorized(request, None)
        if isinstance(grant, records.ApiRefused):
            return _refused(grant)
        return json_response(core.accessible_resources(grant))

    async def myself(self, request: Request) -> Response:
        """Jira: the current user."""
        grant = self._authorized(request, "read:jira-user")
        if isinstance(grant, records.ApiRefused):
            return _refused(grant)
        user = records.USERS[grant.user]
        return json_response(
            {
                "self": f"{records.SITE.url}/rest/api/3/user?accountId={user.account_id}",
                "accountId": user.account_id,
                "accountType": "atlassian",
                "emailAddress": user.email,
                "displayName": user.display_name,
                "active": True,
                "timeZone": "Europe/Berlin",
            }
        )

    async def create_content(self, request: Request) -> Response:
        """Confluence: answer as if a page were created. Nothing is kept."""
        grant = self._authorized(request, "write:confluence-content")
        if isinstance(grant, records.ApiRefused):
            return _refused(grant)
        content = await json_body(request, NewContent)
        return json_response({"id": "65537", "type": content.type, "status": "current", "title": content.title})

    async def show_app(self, request: Request) -> Response:
        """The console's view of an app, without its secret."""
        app = self._app(request)
        view = {"client_id": app.client_id, "name": app.name, "callbacks": app.callbacks}
        return json_response({**view, "permitted_scopes": sorted(app.permitted_scopes)})

    async def change_app(self, request: Request) -> Response:
        """Rename an app, or change its callbacks and permitted scopes; grants already given stay as they are."""
        app, wanted = self._app(request), await json_body(request, AppSettings)
        self.state.apps[app.client_id] = replace(
            app, name=wanted.name, callbacks=wanted.callbacks, permitted_scopes=frozenset(wanted.permitted_scopes)
        )
        return await self.show_app(request)

    async def change_switches(self, request: Request) -> Response:
        """Turn a behaviour on or off that is not established of the real service."""
        self.state.switches = await json_body(request, records.Switches)
        return json_response(self.state.switches)

    async def revoke(self, request: Request) -> Response:
        """Remove a grant, as the user could at id.atlassian.com/manage-profile/apps."""
        wanted = await json_body(request, Revocation)
        return json_response({"revoked": core.revoke(self.state, user=wanted.user, client_id=wanted.client_id)})

    def _authorized(self, request: Request, scope: str | None) -> records.Grant | records.ApiRefused:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        presented = token.strip() if scheme.lower() == "bearer" else ""
        grant = core.authorized(self.state, presented, scope, now=self.now())
        if isinstance(grant, records.Grant) and request.path_params.get("cloudid", records.SITE.id) not in (
            records.SITE.id,
        ):
            return records.ApiRefused("Not Found", 404)
        return grant

    def _app(self, request: Request) -> records.App:
        client_id = request.path_params["client_id"]
        if (app := self.state.apps.get(client_id)) is None:
            known = ", ".join(self.state.apps)
            raise ProblemError(404, "no-such-app", "There is no such app", f"{client_id} is not one of: {known}.")
        return app

    def _to_error(self, outcome: records.ErrorRedirect) -> Response:
        log.warning("authorize refused", error=outcome.error, reason=outcome.reason)
        told = {"error": outcome.error, "error_description": outcome.description, "sandbox_note": outcome.reason}
        return RedirectResponse(f"/atlassian/error?{urlencode(told)}", HTTPStatus.SEE_OTHER)


def _refused(refusal: records.ApiRefused) -> Response:
    return json_response({"code": refusal.status, "message": refusal.message}, refusal.status)


async def _token_request(request: Request) -> dict[str, str]:
    """The token request's members. What cannot be read counts as nothing, and is refused as a client unknown."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return await form(request)
    try:
        members: dict[str, Any] = msgspec.json.decode(await limited_body(request), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {}
    return {name: value for name, value in members.items() if isinstance(value, str)}
