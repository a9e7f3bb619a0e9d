"""What happens next to what a user lacks, and when a token dies by itself: one row a rule."""

from datetime import datetime, timedelta
from typing import Literal

import pytest
from msgspec.structs import replace

from scopefold.consent.deadlines import Deadlines, Dies, dies
from scopefold.consent.next_step import Step, next_steps
from scopefold.consent.reconsent import replay, worklist
from scopefold.consent.ungiven import Why
from scopefold.contracts.events import Event
from tests.support.logs import (
    REFRESH_TOKEN,
    START,
    cleared,
    log_of,
    provisioned,
    registered,
    restored,
    stored,
    withheld,
)

BOB = "u_bob00001"
MAIL, DRIVE = "https://www.googleapis.com/auth/gmail.modify", "https://www.googleapis.com/auth/drive"
ASKED = ("openid", "email", "profile", MAIL, DRIVE)
STORY: tuple[Event, ...] = (registered("google", "google"), provisioned("gmail", [MAIL, DRIVE], "google"))


def came(generation: int, *, asked: tuple[str, ...] = ASKED) -> Event:
    """Bob came back with a token, without Drive."""
    kind: Literal["login", "step-up"] = "login" if generation == 1 else "step-up"
    return stored(BOB, ASKED[:4], generation=generation, cause=kind, idp="google", requested=asked)


def dying(days: float, evidence: tuple[Literal["identity", "refresh_token"], ...] = REFRESH_TOKEN) -> Event:
    """The same, and the provider's clock is running."""
    token = stored(BOB, ASKED[:4], idp="google", requested=ASKED[:4], evidence=evidence)
    return replace(token, idle_expires_at=at(days), access_expires_at=at(min(days, 0.04)))


def at(days: float) -> datetime:
    return START + timedelta(days=days)


NEVER_ASKED = came(1, asked=ASKED[:4])
TWICE = (came(1), came(2))


@pytest.mark.parametrize(
    ("events", "why", "expected"),
    [
        ((*STORY, NEVER_ASKED), "never-asked", "next-login"),
        ((*STORY, dying(1, evidence=("identity",))), "never-asked", "next-login"),
        ((*STORY, dying(15)), "never-asked", "next-login"),
        ((*STORY, dying(14)), "never-asked", "send-link"),
        ((*STORY, dying(-1)), "never-asked", "send-link"),
        ((*STORY, NEVER_ASKED, cleared(BOB, idp="google")), "cleared", "send-link"),
        ((*STORY, NEVER_ASKED), "disproved", "next-login"),
        ((*STORY, came(1)), "not-allowed", "send-link"),
        ((*STORY, *TWICE), "not-allowed", "restore"),
        ((*STORY, *TWICE, restored(DRIVE, idp="google")), "not-allowed", "send-link"),
        ((*STORY, *TWICE, restored(DRIVE, idp="google"), came(3)), "not-allowed", "restore"),
        ((*STORY, came(1)), "not-given", "mend-app"),
        ((*STORY, came(1), restored(DRIVE, idp="google")), "not-given", "next-login"),
        ((*STORY, came(1), restored(DRIVE, idp="google"), came(2)), "not-given", "mend-app"),
        ((*STORY, NEVER_ASKED, withheld(DRIVE, idp="google")), "never-asked", "restore"),
        ((*STORY, NEVER_ASKED, cleared(BOB, idp="google"), withheld(DRIVE, idp="google")), "cleared", "restore"),
        ((STORY[1], NEVER_ASKED), "never-asked", "register-idp"),
    ],
)
def test_what_happens_next(events: tuple[Event, ...], why: Why, expected: Step) -> None:
    state = replay(log_of(*events))
    (row,) = worklist(state)
    reasons: dict[str, Why] = dict.fromkeys((lack.scope for lack in row.missing), why)
    assert expected == next_steps(state.scopes.idps["google"], row, reasons, START)[DRIVE]


BOTH = ("identity", "refresh_token")


@pytest.mark.parametrize(
    ("deadlines", "evidence", "expected"),
    [
        (Deadlines(), BOTH, None),
        (Deadlines(access=at(1)), BOTH, None),  # what renews it has no clock that is known
        (Deadlines(access=at(1)), ("identity",), Dies(at(1), "access")),
        (Deadlines(), ("identity",), None),
        (Deadlines(at(1), idle=at(90)), BOTH, Dies(at(90), "idle")),
        (Deadlines(at(1), absolute=at(365)), BOTH, Dies(at(365), "absolute")),
        (Deadlines(at(1), at(90), at(365)), BOTH, Dies(at(90), "idle")),
        (Deadlines(at(1), at(90), at(30)), BOTH, Dies(at(30), "absolute")),
    ],
)
def test_the_first_clock_to_run_out_is_the_deadline(
    deadlines: Deadlines, evidence: tuple[str, ...], expected: Dies | None
) -> None:
    assert expected == dies(deadlines, evidence)


def test_a_scope_is_due_to_the_version_that_began_to_need_it() -> None:
    events = (
        registered("google", "google"),
        provisioned("gmail", [MAIL], "google", version="1.0.0"),
        provisioned("gmail", [MAIL, DRIVE], "google", version="2.0.0"),
        stored(BOB, ASKED[:3], idp="google"),
    )
    (row,) = worklist(replay(log_of(*events)))
    found = {lack.scope: [(one.version, one.cause.seq) for one in lack.because] for lack in row.missing}
    assert {MAIL: [("1.0.0", 2)], DRIVE: [("2.0.0", 3)]} == found
