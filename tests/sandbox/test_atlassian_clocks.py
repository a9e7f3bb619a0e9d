"""What ends with time at the Atlassian stand-in. The clock is an argument, so that nothing waits."""

from itertools import count
from typing import Any

import pytest

from scopefold.sandbox.core import atlassian as core
from scopefold.sandbox.core import sign_in
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer, TokenRequest

DAY = 24 * 3600.0
CALLBACK = "http://127.0.0.1:8080/oauth2/callback"
CLIENT = {"client_id": "sandbox-atlassian", "client_secret": "sandbox-atlassian-secret"}


class Stand:
    """A stand-in with one user's walk through it."""

    def __init__(self) -> None:
        self.state = core.preset([CALLBACK])
        numbers = count()
        self.mint = lambda: f"minted-{next(numbers)}"

    def begin(self, now: float) -> str:
        query = [
            ("client_id", "sandbox-atlassian"),
            ("audience", "api.atlassian.com"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("prompt", "consent"),
            ("state", "s"),
            ("scope", "read:me offline_access"),
        ]
        return sign_in.begin(self.state, query, browser="b", now=now, mint=self.mint)

    def log_in(self, transaction: str, now: float) -> sign_in.Consent | sign_in.Refusal:
        return sign_in.log_in(core, self.state, transaction, "alice", browser="b", now=now, mint=self.mint)

    def code(self, now: float) -> str:
        consent = self.log_in(self.begin(now), now)
        assert isinstance(consent, sign_in.Consent)
        answer = sign_in.decide(
            core, self.state, consent.transaction, accepted=True, browser="b", now=now, mint=self.mint
        )
        assert isinstance(answer, sign_in.ToClient)
        return answer.url.partition("code=")[2].partition("&")[0]

    def redeem(self, code: str, now: float) -> Answer:
        body = {**CLIENT, "grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
        return core.exchange(self.state, TokenRequest(body), now=now, mint=self.mint)

    def refresh(self, token: str, now: float) -> Answer:
        body = {**CLIENT, "grant_type": "refresh_token", "refresh_token": token}
        return core.exchange(self.state, TokenRequest(body), now=now, mint=self.mint)

    def tokens(self, now: float) -> dict[str, Any]:
        found = self.redeem(self.code(now), now)
        assert 200 == found.status
        return dict(found.members)


def renewed(answer: Answer) -> str:
    assert 200 == answer.status
    return str(answer.members["refresh_token"])


DEAD = core.DEAD_REFRESH_TOKENS["observed"]


@pytest.mark.parametrize(("after", "kind"), [(599.0, sign_in.Consent), (600.0, sign_in.ErrorRedirect)])
def test_a_login_page_serves_for_ten_minutes(after: float, kind: type[object]) -> None:
    stand = Stand()
    assert isinstance(stand.log_in(stand.begin(0.0), after), kind)


@pytest.mark.parametrize(("after", "status"), [(599.0, 200), (600.0, 403)])
def test_a_code_serves_for_ten_minutes(after: float, status: int) -> None:
    stand = Stand()
    assert status == stand.redeem(stand.code(0.0), after).status


@pytest.mark.parametrize(("after", "kind"), [(3599.0, memory.Grant), (3600.0, Answer)])
def test_an_access_token_serves_for_an_hour(after: float, kind: type[object]) -> None:
    stand = Stand()
    assert isinstance(core.authorized(stand.state, stand.tokens(0.0)["access_token"], "read:me", now=after), kind)


def test_a_refresh_token_lives_on_as_long_as_it_is_used_every_ninety_days() -> None:
    stand = Stand()
    token = stand.tokens(0.0)["refresh_token"]
    for turn in range(1, 6):
        token = renewed(stand.refresh(token, turn * 90 * DAY))
    assert stand.refresh(token, (5 * 90 + 90) * DAY + 1) == DEAD


def test_the_token_used_last_may_be_exchanged_again_for_ten_minutes() -> None:
    stand = Stand()
    first = stand.tokens(0.0)["refresh_token"]
    newest = renewed(stand.refresh(first, 100.0))
    sibling = renewed(stand.refresh(first, 700.0))
    assert sibling != newest
    assert stand.refresh(first, 701.0) == DEAD
    assert [stand.refresh(one, 702.0) for one in (newest, sibling)] == [DEAD] * 2


def test_one_login_s_breach_leaves_another_login_s_tokens_alive() -> None:
    stand = Stand()
    breached, other = (stand.tokens(0.0)["refresh_token"] for _ in range(2))
    stand.refresh(breached, 1.0)
    assert stand.refresh(breached, 1000.0) == DEAD
    renewed(stand.refresh(other, 1001.0))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_KEPT", 3)
    stand = Stand()
    begun = [stand.begin(0.0) for _ in range(5)]
    assert begun[2:] == list(stand.state.transactions)
