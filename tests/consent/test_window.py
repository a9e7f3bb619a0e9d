"""Several installs, one prompt: from when what users lack sends them to consent."""

from datetime import datetime, timedelta

import pytest

from scopefold.consent.reconsent import judge, replay
from scopefold.consent.window import waiting_until
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.coverage import Grant
from tests.support.logs import START, deprovisioned, provisioned, registered

NOTHING = Grant((), ())
A, B, C = (provisioned(name, (f"{name}:it",)) for name in ("a", "b", "c"))
A_AND_MORE = provisioned("a", ("a:it", "a:more"), version="2.0.0")
A_EITHER_WAY = provisioned("a", ("a:it", "a:more"), alternatives=[("z:it", "z:more")])
SEARCH_A = provisioned("search", ("a:it",))


def hour(number: float) -> datetime:
    return START + timedelta(hours=number)


def waits(*events: tuple[float, Event], now: float, window: float = 24, has: tuple[str, ...] = ()) -> float | None:
    """Until which hour somebody who has granted this much need not consent; None: they must now, or need nothing."""
    log = [Recorded(n, hour(at), "default", f"event-{n:04}", "any", one) for n, (at, one) in enumerate(events, 1)]
    idp = replay(log).scopes.idps["atlassian"]
    until = waiting_until(idp, judge(idp, Grant(has, ())).lacks, timedelta(hours=window), hour(now))
    return None if until is None else (until - START) / timedelta(hours=1)


EMPTY = (0.0, registered(base=()))


@pytest.mark.parametrize(
    ("events", "now", "until"),
    [
        ([(10, A)], 10, 34),
        ([(10, A)], 33.9, 34),
        ([(10, A)], 34, None),
        ([(10, A), (20, B)], 21, 34),
        ([(10, A), (20, B)], 34, None),
        ([(10, A), (34, B)], 34, None),
        ([(10, A), (20, deprovisioned("a")), (21, B)], 22, 45),
        ([(10, A), (20, A)], 21, 34),
        ([(10, A), (20, SEARCH_A)], 21, 34),
        ([(10, A_EITHER_WAY)], 11, 34),
        ([], 10, None),
    ],
    ids=[
        "it-waits", "to-the-end", "and-no-longer", "a-second-joins", "both-at-once", "first-is-due", "first-left",
        "said-again", "two-need-it", "any-of", "nothing-lacks",
    ],
)  # fmt: skip
def test_who_lacks_everything_waits(events: list[tuple[float, Event]], now: float, until: float | None) -> None:
    assert until == waits(EMPTY, *events, now=now)


@pytest.mark.parametrize(
    ("events", "has", "now", "until"),
    [
        ([(10, A), (20, B)], ("a:it",), 21, 34),
        ([(10, A), (40, B)], ("a:it",), 41, 64),
        ([(10, A), (40, B), (50, C)], ("a:it", "b:it"), 51, 64),
        ([(10, A), (40, B), (64, C)], ("a:it", "b:it"), 65, 88),
        ([(10, A), (40, A_AND_MORE)], ("a:it",), 41, 64),
        ([(10, A), (40, A_AND_MORE)], (), 41, None),
        ([(10, A), (40, SEARCH_A)], (), 41, None),
        ([(10, A), (40, A_EITHER_WAY)], ("a:it",), 41, 64),
    ],
    ids=[
        "joined",
        "next",
        "joined-next",
        "after-next",
        "new-version",
        "old-need",
        "older-need",
        "list-added",
        "list-serves",
    ],
)
def test_who_consented_before_waits_for_the_next_window(
    events: list[tuple[float, Event]], has: tuple[str, ...], now: float, until: float | None
) -> None:
    assert until == waits(EMPTY, *events, has=has, now=now)


def test_base_scopes_wait_for_nothing_and_take_the_rest_along() -> None:
    events: list[tuple[float, Event]] = [(0, registered(base=("read:me",))), (10, A)]
    assert (None, 34) == (waits(*events, now=11), waits(*events, now=11, has=("read:me",)))


def test_without_a_window_nothing_waits() -> None:
    assert waits(EMPTY, (10, A), now=10, window=0) is None
