"""Logs of which a person has worked out who must consent again, to what, why and since when: every fold says so, and so
do the story of each grant and the difference between two moments.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest

from scopefold.auth.store.projection import Projection
from scopefold.auth.store.tallies import reasons_of
from scopefold.consent.bulk import Bulk
from scopefold.consent.bulk_worklist import BulkWorklist
from scopefold.consent.difference import difference
from scopefold.consent.intake import Intake
from scopefold.consent.reasons import Reasons, reasons_in
from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.consent.story import tell
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded
from tests.auth.test_projection import feed, opened, rows_by
from tests.support.bulk import table_of
from tests.support.logs import (
    cleared,
    deprovisioned,
    erased,
    insufficient,
    log_of,
    logged_in,
    provisioned,
    registered,
    removed,
    stored,
)

ALICE, BOB = "u_alice001", "u_bob00001"
ME, USER, READ, WRITE = "read:me", "read:jira-user", "read:jira-work", "write:jira-work"
SEARCH, HOOKS = "search:confluence", "manage:jira-webhook"
GRANULAR = ("read:issue:jira", "read:project:jira")

Answer = Mapping[str, tuple[int, Mapping[str, str]]]
"""By user: since which event, and why each scope lacks."""
Moments = Mapping[int, Answer]
Moves = Mapping[tuple[int, int], Mapping[str, str]]
"""Between two moments: by user, whether the user entered, changed, or left, and then why."""

LOGS: Final[dict[str, tuple[Sequence[Event], Moments, Moves]]] = {
    "an IdP is removed and comes anew": (
        [
            registered(base=()),  # 1
            provisioned("jira", [ME, READ]),  # 2
            stored(ALICE, [ME, READ]),  # 3
            provisioned("wiki", [SEARCH]),  # 4
            removed(),  # 5
            registered(base=()),  # 6
            stored(ALICE, [ME], requested=[ME, READ]),  # 7: the log hears of it late, it is none of the new ones
            provisioned("jira", [ME, READ]),  # 8
            stored(ALICE, [ME], generation=2, requested=[ME, READ]),  # 9
            stored(BOB, [ME, READ]),  # 10: so the provider does give it
        ],
        {
            4: {ALICE: (4, {SEARCH: "never-asked"})},
            8: {},
            9: {ALICE: (9, {READ: "not-given"})},
            10: {ALICE: (9, {READ: "not-allowed"})},
        },
        {(4, 8): {ALICE: "removed at 5"}, (4, 9): {ALICE: "changed"}, (8, 10): {ALICE: "entered"}, (9, 10): {}},
    ),
    "a connector goes and comes back, with a login between": (
        [
            registered(base=()),  # 1
            provisioned("jira", [READ]),  # 2
            provisioned("wiki", [SEARCH]),  # 3
            stored(ALICE, [READ], requested=[READ, SEARCH]),  # 4
            deprovisioned("wiki"),  # 5
            stored(ALICE, [READ], generation=2, requested=[READ, SEARCH]),  # 6: the union never shrinks by itself
            provisioned("wiki", [SEARCH]),  # 7
        ],
        {4: {ALICE: (4, {SEARCH: "not-given"})}, 6: {}, 7: {ALICE: (7, {SEARCH: "not-given"})}},
        {(4, 6): {ALICE: "covered at 5"}, (6, 7): {ALICE: "entered"}},
    ),
    "a token is cleared and another comes": (
        [
            registered(base=()),  # 1
            provisioned("jira", [ME, WRITE]),  # 2
            stored(ALICE, [ME, WRITE]),  # 3
            cleared(ALICE, reason="user"),  # 4
            insufficient(ALICE, WRITE, generation=1),  # 5: of what is gone
            provisioned("jira", [ME, WRITE, USER], version="2.0.0"),  # 6
            stored(ALICE, [ME, WRITE], generation=2),  # 7
            cleared(ALICE, generation=1),  # 8: a token that is no more
        ],
        {
            3: {},
            4: {ALICE: (4, {ME: "cleared", WRITE: "cleared"})},
            6: {ALICE: (4, {ME: "cleared", WRITE: "cleared", USER: "cleared"})},
            8: {ALICE: (7, {USER: "never-asked"})},
        },
        {(3, 6): {ALICE: "entered"}, (6, 8): {ALICE: "changed"}, (4, 6): {ALICE: "changed"}},
    ),
    "a service misses what nobody needs yet": (
        [
            registered(base=()),  # 1
            provisioned("jira", [ME]),  # 2
            stored(ALICE, [ME, USER]),  # 3
            insufficient(ALICE, USER, HOOKS, name="people"),  # 4: granted, the one; never granted, the other
            provisioned("people", [USER]),  # 5
            stored(BOB, [ME, USER]),  # 6
            provisioned("hooks", [HOOKS]),  # 7
            stored(ALICE, [ME, USER], generation=2, cause="refresh"),  # 8: no answer to a report
            stored(ALICE, [ME, USER, HOOKS], generation=3),  # 9
        ],
        {
            4: {},
            6: {ALICE: (5, {USER: "disproved"})},
            8: {ALICE: (5, {USER: "disproved", HOOKS: "never-asked"}), BOB: (7, {HOOKS: "never-asked"})},
            9: {BOB: (7, {HOOKS: "never-asked"})},
        },
        {(4, 8): {ALICE: "entered", BOB: "entered"}, (8, 9): {ALICE: "covered by the user"}},
    ),
    "an erased user comes back": (
        [
            registered(base=()),  # 1
            provisioned("jira", [ME]),  # 2
            stored(ALICE, [], requested=[ME]),  # 3
            erased(ALICE),  # 4
            stored(ALICE, [], generation=2, requested=[ME]),  # 5
            logged_in(ALICE),  # 6
            provisioned("wiki", [SEARCH]),  # 7
            insufficient(ALICE, SEARCH),  # 8
            stored(BOB, [], requested=[ME]),  # 9: the same person, under the only name that can be
        ],
        {
            3: {ALICE: (3, {ME: "not-given"})},
            8: {},
            9: {BOB: (9, {ME: "not-given", SEARCH: "never-asked"})},
        },
        {(3, 8): {ALICE: "erased by the user"}, (3, 9): {ALICE: "erased by the user", BOB: "entered"}},
    ),
    "a connector moves away and comes back with one list of two": (
        [
            registered(base=()),  # 1
            registered("atlassian-eu", base=()),  # 2
            provisioned("jira", [READ], alternatives=[GRANULAR]),  # 3
            stored(ALICE, GRANULAR),  # 4
            provisioned("jira", [READ], "atlassian-eu", version="2.0.0"),  # 5
            provisioned("jira", [READ], version="2.0.0"),  # 6: nothing is known of the list any more, and need not be
            provisioned("jira", [READ, USER], version="3.0.0"),  # 7
        ],
        {
            4: {},
            5: {},
            6: {ALICE: (6, {READ: "never-asked"})},
            7: {ALICE: (6, {READ: "never-asked", USER: "never-asked"})},
        },
        {(4, 6): {ALICE: "entered"}, (6, 7): {ALICE: "changed"}},
    ),
    "a provider that says at last what it granted": (
        [
            registered(base=()),  # 1
            provisioned("jira", [ME, READ]),  # 2
            stored(ALICE, None, requested=[ME, READ]),  # 3
            provisioned("wiki", [SEARCH]),  # 4
            stored(ALICE, [ME], generation=2, cause="refresh", requested=[ME, READ]),  # 5
            stored(BOB, [ME, READ, SEARCH]),  # 6
        ],
        {
            4: {},
            5: {ALICE: (5, {READ: "not-given", SEARCH: "never-asked"})},
            6: {ALICE: (5, {READ: "not-allowed", SEARCH: "never-asked"})},
        },
        {(4, 6): {ALICE: "entered"}, (3, 4): {}},
    ),
}


def told(rows: Sequence[Row], reasons: Reasons) -> Answer:
    return {row.user: (row.since.seq, reasons.of(row)) for row in rows}


def in_bulk(log: Sequence[Recorded]) -> Answer:
    bulk, intake = Bulk(), Intake("default", pa.array([], pa.string()))
    bulk.fold(intake.facts(table_of(log)))
    found, causes = BulkWorklist(bulk, intake.users), {one.seq: one.cause for one in log}
    reasons = Reasons(bulk.scopes, users_with=found.users_with, ungiven=found.ungiven)
    return told([row for part in found.parts() for row in part.rows(causes)], reasons)


async def projected(projection: Projection) -> Answer:
    return told(await rows_by(projection, 100), reasons_of(projection))


@pytest.mark.parametrize(("events", "moments"), [one[:2] for one in LOGS.values()], ids=list(LOGS))
async def test_every_fold_says_what_was_worked_out_by_hand(
    events: Sequence[Event], moments: Moments, tmp_path: Path
) -> None:
    log, begun = log_of(*events), 0
    async with opened(tmp_path / "live.db") as projection:
        for seq, expected in moments.items():
            state = replay(log[:seq])
            await feed(projection, log[begun:seq], 100)
            begun = seq
            assert (seq, expected) == (seq, told(list(worklist(state)), reasons_in(state)))
            assert (seq, expected) == (seq, await projected(projection))
            assert (seq, expected) == (seq, in_bulk(log[:seq]))


@pytest.mark.parametrize(("events", "moments"), [one[:2] for one in LOGS.values()], ids=list(LOGS))
def test_so_does_the_story_of_each_grant(events: Sequence[Event], moments: Moments) -> None:
    for seq, expected in moments.items():
        for user in (ALICE, BOB):
            present = tell(user, "atlassian", log_of(*events)[:seq]).present
            since, scopes = expected.get(user, (None, {}))
            found = present.since and present.since.seq, [lack.scope for lack in present.missing]
            assert (seq, user, (since, sorted(scopes))) == (seq, user, (found[0], sorted(found[1])))


@pytest.mark.parametrize(("events", "moves"), [one[::2] for one in LOGS.values()], ids=list(LOGS))
def test_so_does_the_difference_between_two_moments(events: Sequence[Event], moves: Moves) -> None:
    log = log_of(*events)
    for (first, second), expected in moves.items():
        found = difference(replay(log[:first]), replay(log[:second]), log[first:second])
        left = {
            one.was.user: f"{one.now} at {one.reason.cause.seq}" if one.reason else f"{one.now} by the user"
            for one in found.left
        }
        entered = {row.user: "entered" for row in found.entered}
        changed = {one.now.user: "changed" for one in found.changed}
        assert (first, second, expected) == (first, second, {**entered, **changed, **left})
