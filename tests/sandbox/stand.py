"""A stand-in without a socket, and one user's walk through it. The clock is an argument, so that nothing waits."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scopefold.sandbox.core import (
    atlassian,
    bitbucket,
    github,
    google,
    microsoft,
    microsoft_tokens,
    oidc,
    sign_in,
    slack,
)
from scopefold.sandbox.core.answers import Answer, TokenRequest
from scopefold.sandbox.core.state import App, State

CALLBACK = "http://127.0.0.1:8080/oauth2/callback"
Exchange = Callable[..., Answer]


class Stand:
    """One provider: its rules, its state, its token endpoint, and what its clients ask with."""

    def __init__(self, rules: Any, state: State[Any], exchange: Exchange, **asked: str) -> None:
        self.rules = rules
        self.state = state
        self.exchange = exchange
        self.client_id = next(iter(state.apps))
        self.asked = asked
        numbers = count()
        self.mint = lambda: f"minted-{next(numbers)}"

    def begin(self, now: float) -> str:
        right = {"client_id": self.client_id, "redirect_uri": CALLBACK, "response_type": "code", "state": "s"}
        query = [*{**right, **self.asked}.items()]
        return sign_in.begin(self.state, query, browser="b", now=now, mint=self.mint, tenant="common")

    def log_in(self, transaction: str, now: float) -> sign_in.Consent | sign_in.Refusal:
        return sign_in.log_in(self.rules, self.state, transaction, "alice", browser="b", now=now, mint=self.mint)

    def code(self, now: float) -> str:
        answer = self.log_in(self.begin(now), now)
        if isinstance(answer, sign_in.Consent):
            site = answer.ask.sites[0].id if answer.ask.sites else ""
            answer = sign_in.decide(
                self.rules,
                self.state,
                answer.transaction,
                accepted=True,
                site=site,
                browser="b",
                now=now,
                mint=self.mint,
            )
        assert isinstance(answer, sign_in.ToClient), answer
        return parse_qs(urlsplit(answer.url).query)["code"][0]

    def post(self, body: Mapping[str, str], now: float, client_id: str = "") -> Answer:
        who = client_id or self.client_id
        credentials = {"client_id": who, "client_secret": self.state.apps[who].client_secret}
        basic = (credentials["client_id"], credentials["client_secret"]) if self.rules is bitbucket else None
        return self.exchange(self.state, TokenRequest({**credentials, **body}, basic), now=now, mint=self.mint)

    def redeem(self, code: str, now: float, client_id: str = "") -> Answer:
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return self.post(body, now, client_id)

    def refresh(self, token: str, now: float, client_id: str = "") -> Answer:
        return self.post({"grant_type": "refresh_token", "refresh_token": token}, now, client_id)

    def tokens(self, now: float) -> dict[str, Any]:
        found = self.redeem(self.code(now), now)
        assert good(found), found
        return dict(found.members)

    def second_app(self) -> str:
        """Another app of the same console; its id."""
        self.state.apps["another"] = App("another", "another-secret", "Another", (CALLBACK,), frozenset())
        return "another"


def good(answer: Answer) -> bool:
    """Whether tokens were given. Two of the providers refuse with status 200."""
    return "access_token" in answer.members


def renewed(answer: Answer) -> str:
    assert good(answer), answer
    return str(answer.members["refresh_token"])


def _microsoft(state: State[Any], request: TokenRequest, **rest: Any) -> Answer:
    return microsoft_tokens.exchange(state, "common", request, **rest)


def stand_in(name: str, **switches: Any) -> Stand:
    """A fresh stand-in of this name, switched so."""
    base = f"http://sandbox.example/{name}"
    made: dict[str, Callable[[], Stand]] = {
        "atlassian": lambda: Stand(
            atlassian,
            atlassian.preset([CALLBACK], base),
            atlassian.exchange,
            scope="read:me offline_access",
            audience="api.atlassian.com",
            prompt="consent",
        ),
        "bitbucket": lambda: Stand(bitbucket, bitbucket.preset([CALLBACK], base), bitbucket.exchange, scope="account"),
        "google": lambda: Stand(
            google, google.preset([CALLBACK], base), google.exchange, scope="openid", access_type="offline"
        ),
        "microsoft": lambda: Stand(
            microsoft, microsoft.preset(name, [CALLBACK], base), _microsoft, scope="User.Read offline_access"
        ),
        "github": lambda: Stand(github, github.preset([CALLBACK], base), github.exchange, scope="gist"),
        "slack": lambda: Stand(slack, slack.preset([CALLBACK], base), slack.exchange, scope="commands"),
        "oidc": lambda: Stand(oidc, oidc.preset([CALLBACK], base), oidc.exchange, scope="openid offline_access"),
    }
    stand = made[name]()
    stand.state.switches = type(stand.state.switches)(**switches)
    return stand
