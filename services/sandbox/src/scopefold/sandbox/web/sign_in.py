"""The pages that a person sees at any stand-in: log in, consent, what is wrong."""

from http import HTTPStatus
from typing import Final, Generic, TypeVar
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError
from scopefold.sandbox.core import sign_in as core
from scopefold.sandbox.core.people import USERS
from scopefold.sandbox.web.faults import guarded
from scopefold.sandbox.web.pages import form, page
from scopefold.sandbox.web.stand_in import StandIn

TICK: Final = "tick-"
S = TypeVar("S", bound=Struct)
log = logger(__name__)


class SignInPages(Generic[S]):
    """The pages of one stand-in."""

    def __init__(self, at: StandIn[S], rules: core.Rules[S]) -> None:
        self.at = at
        self.rules = rules
        self.cookie = f"sandbox_{at.name}_browser".replace("-", "_")

    def routes(self, authorize_path: str) -> list[Route]:
        """The authorization endpoint, and what its forms come back to."""
        return [
            Route(authorize_path, guarded(self.at.state, "pages", self.authorize), methods=["GET", "POST"]),
            Route("/login", self.log_in, methods=["POST"]),
            Route("/consent", self.decide, methods=["POST"]),
        ]

    async def authorize(self, request: Request) -> Response:
        """Show the login page, or at once what is wrong, where the provider tells it that early."""
        browser = request.cookies.get(self.cookie) or self.at.mint()
        query = request.query_params.multi_items() if request.method == "GET" else [*(await form(request)).items()]
        tenant = request.path_params.get("tenant", "")
        transaction = core.begin(
            self.at.state, query, browser=browser, now=self.at.now(), mint=self.at.mint, tenant=tenant
        )
        if self.rules.EARLY:
            refusal = core.refuse(self.rules, self.at.state, self.at.state.transactions[transaction])
            if refusal is not None:
                del self.at.state.transactions[transaction]
                return self.shown(refusal)
        hint = next((value for name, value in query if name in ("login_hint", "login")), None)
        answer = self._page("login.html", transaction=transaction, users=USERS.values(), hint=hint)
        answer.set_cookie(
            self.cookie,
            browser,
            path=self.at.prefix,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer

    async def log_in(self, request: Request) -> Response:
        """The user chose an account."""
        fields = await form(request)
        outcome = core.log_in(
            self.rules,
            self.at.state,
            fields.get("transaction", ""),
            fields.get("user", ""),
            browser=request.cookies.get(self.cookie, ""),
            now=self.at.now(),
            mint=self.at.mint,
        )
        return self.shown(outcome)

    async def decide(self, request: Request) -> Response:
        """The user accepted or cancelled."""
        fields = await form(request)
        if (decision := fields.get("decision")) not in ("accept", "cancel"):
            raise ProblemError(400, "decision", "The form is not complete", "decision must be accept or cancel.")
        ticked = (name.removeprefix(TICK) for name in fields if name.startswith(TICK))
        outcome = core.decide(
            self.rules,
            self.at.state,
            fields.get("transaction", ""),
            accepted=decision == "accept",
            site=fields.get("site", ""),
            ticked=frozenset(int(place) for place in ticked if place.isdecimal() and len(place) < 5),
            browser=request.cookies.get(self.cookie, ""),
            now=self.at.now(),
            mint=self.at.mint,
        )
        return self.shown(outcome)

    def shown(self, outcome: core.Consent | core.Refusal) -> Response:
        """What a step came to, as an answer to the browser."""
        match outcome:
            case core.Consent():
                return self._page("consent.html", consent=outcome, tick=TICK)
            case core.ErrorPage():
                log.warning("authorize refused", provider=self.at.brand, reason=outcome.reason)
                return self._error(outcome.title, outcome.lines, outcome.reason, outcome.status)
            case core.ErrorRedirect():
                log.warning("authorize refused", provider=self.at.brand, error=outcome.error, reason=outcome.reason)
                told = {
                    "error": outcome.error,
                    "error_description": outcome.description,
                    "sandbox_note": outcome.reason,
                }
                return RedirectResponse(f"{self.at.prefix}/error?{urlencode(told)}", HTTPStatus.SEE_OTHER)
            case core.ToClient():
                return RedirectResponse(outcome.url, HTTPStatus.SEE_OTHER)

    async def error(self, request: Request) -> Response:
        """The page that stands for the provider's own error page."""
        query = request.query_params
        lines = (query.get("error_description", "No description was given."), f"Error: {query.get('error', 'unknown')}")
        return self._error("Something went wrong", lines, query.get("sandbox_note", ""), 400)

    def _error(self, title: str, lines: tuple[str, ...], note: str, status: int) -> Response:
        return self._page("error.html", status, title=title, lines=lines, note=note)

    def _page(self, template: str, status: int = 200, **values: object) -> Response:
        return page(template, status, brand=self.at.brand, prefix=self.at.prefix, **values)
