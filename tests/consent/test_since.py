"""Nobody is told to have lacked something before the moment at which they came onto the worklist."""

from random import Random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from scopefold.consent.reconsent import EMPTY, fold, worklist
from scopefold.contracts.events import Event
from tests.support.logs import at_place, cleared, deprovisioned, provisioned, registered, stored

ALICE: Final = "u_alice001"
SCOPES: Final = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work")
NAMES: Final = ("jira-user", "wiki")


def some(random: Random) -> tuple[str, ...]:
    return tuple(random.sample(SCOPES, random.randint(1, 2)))


def one(random: Random, generation: int) -> Event:
    """Connectors that come, change their lists and go; a user who logs in, renews a token, and loses it."""
    match random.randint(0, 9):
        case 0:
            return deprovisioned(random.choice(NAMES))
        case 1:
            return stored(ALICE, some(random), generation=generation)
        case 2:
            return stored(ALICE, random.choice([some(random), None]), generation=generation, cause="refresh")
        case 3 if random.random() < 0.2:
            return cleared(ALICE, generation=generation)
        case _:
            others = random.choice([(), (some(random),), (some(random), some(random))])
            return provisioned(random.choice(NAMES), some(random), alternatives=others)


@given(st.randoms(use_true_random=False))
def test_nobody_lacks_something_since_before_they_came_onto_the_worklist(random: Random) -> None:
    """Calls that disprove one of several lists are left out: docs/worklist.md says what `since` tells then."""
    state, came = EMPTY, 0
    events = [registered(base=()), stored(ALICE, some(random)), *(one(random, seq) for seq in range(3, 25))]
    for seq, event in enumerate(events, start=1):
        state = fold(state, at_place(seq, event))
        rows = list(worklist(state))
        came = (came or seq) if rows else 0
        assert all(came <= row.since.seq <= seq for row in rows), (seq, came, rows)
