"""How long an IdP may keep us waiting: Retry-After, RFC 9110, section 10.2.3."""

from datetime import UTC, datetime

import pytest

from scopefold.auth.core.waiting import MOST_WAIT_SECONDS, asked_wait, next_try

NOW = datetime(1994, 11, 6, 8, 49, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 30.0),
        ("Sun Nov  6 08:49:37 1994", 30.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("Sun, 06 Nov 2094 08:49:37 GMT", MOST_WAIT_SECONDS),
        ("86400", MOST_WAIT_SECONDS),
        ("9" * 30, MOST_WAIT_SECONDS),
        ("9" * 5000, 0.0),
        ("", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("1e9", 0.0),
        ("soon", 0.0),
        ("\u0661\u0662", 0.0),
        ("Sun, 99 Nov 1994 99:99:99 GMT", 0.0),
        ("Sun, 06 Nov 99999 08:49:37 GMT", 0.0),
        ("inf", 0.0),
    ],
)
def test_F16_what_an_idp_says_of_when_to_come_back_is_bounded_and_nonsense_is_nothing(
    told: str, seconds: float
) -> None:
    assert (seconds, seconds) == (asked_wait(429, told, NOW), asked_wait(503, told, NOW))


@pytest.mark.parametrize("status", [200, 301, 400, 401, 500, 502])
def test_only_an_answer_that_is_too_busy_says_when_to_come_back(status: int) -> None:
    assert 0.0 == asked_wait(status, "120", NOW)


@pytest.mark.parametrize(
    ("pause", "asked", "left", "after"),
    [
        (1.0, 0.0, 20.0, 1.0),
        (1.0, 5.0, 20.0, 5.0),
        (4.0, 3.0, 20.0, 4.0),
        (1.0, 20.0, 20.0, None),
        (1.0, 0.0, 0.5, None),
    ],
)
def test_a_renewal_waits_as_long_as_it_is_asked_to_or_gives_up_at_once(
    pause: float, asked: float, left: float, after: float | None
) -> None:
    assert after == next_try(pause, asked, left)
