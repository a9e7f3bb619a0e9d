"""What ends with time at the Atlassian stand-in, beside what ends alike at all (test_clocks)."""

import pytest

from scopefold.sandbox.core import atlassian as core
from scopefold.sandbox.core import sign_in
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.answers import Answer
from tests.sandbox.stand import Stand, renewed, stand_in

DAY = 24 * 3600.0
DEAD = core.DEAD_REFRESH_TOKENS["observed"]


@pytest.fixture
def stand() -> Stand:
    return stand_in("atlassian")


@pytest.mark.parametrize(("after", "kind"), [(599.0, sign_in.Consent), (600.0, sign_in.ErrorRedirect)])
def test_a_login_page_serves_for_ten_minutes(stand: Stand, after: float, kind: type[object]) -> None:
    assert isinstance(stand.log_in(stand.begin(0.0), after), kind)


@pytest.mark.parametrize(("after", "kind"), [(3599.0, memory.Grant), (3600.0, Answer)])
def test_an_access_token_serves_for_an_hour(stand: Stand, after: float, kind: type[object]) -> None:
    assert isinstance(core.authorized(stand.state, stand.tokens(0.0)["access_token"], "read:me", now=after), kind)


def test_a_refresh_token_lives_on_as_long_as_it_is_used_every_ninety_days(stand: Stand) -> None:
    token = stand.tokens(0.0)["refresh_token"]
    for turn in range(1, 6):
        token = renewed(stand.refresh(token, turn * 90 * DAY))
    assert stand.refresh(token, (5 * 90 + 90) * DAY + 1) == DEAD


def test_the_token_used_last_may_be_exchanged_again_for_ten_minutes(stand: Stand) -> None:
    first = stand.tokens(0.0)["refresh_token"]
    newest = renewed(stand.refresh(first, 100.0))
    sibling = renewed(stand.refresh(first, 700.0))
    assert sibling != newest
    assert stand.refresh(first, 701.0) == DEAD
    assert [stand.refresh(one, 702.0) for one in (newest, sibling)] == [DEAD] * 2


def test_one_login_s_breach_leaves_another_login_s_tokens_alive(stand: Stand) -> None:
    breached, other = (stand.tokens(0.0)["refresh_token"] for _ in range(2))
    stand.refresh(breached, 1.0)
    assert stand.refresh(breached, 1000.0) == DEAD
    renewed(stand.refresh(other, 1001.0))


def test_memory_is_bounded(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_KEPT", 3)
    begun = [stand.begin(0.0) for _ in range(5)]
    assert begun[2:] == list(stand.state.transactions)
