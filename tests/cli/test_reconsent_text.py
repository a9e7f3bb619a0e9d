"""What people read of one row of the worklist."""

from collections.abc import Sequence
from typing import get_args

import msgspec

from scopefold.cli.answers import ListedRow, Worklist
from scopefold.cli.reconsent import NEXT, WHY, explained, next_of, summary, why
from scopefold.cli.table import plain
from scopefold.consent.next_step import Step
from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.consent.ungiven import Why
from scopefold.contracts.events import ConsentDeclined
from scopefold.contracts.recorded import AsOf
from tests.support.logs import CLIENT, CONFLUENCE, JIRA, cleared, insufficient, log_of, provisioned, registered, stored

ALICE = "u_alice001"
STORY = (registered(), provisioned("jira-user", JIRA, version="1.2.0"), stored(ALICE, JIRA[:-1]))


def listed(row: Row, why: str, step: str) -> ListedRow:
    told = msgspec.to_builtins(row)
    scopes = [lack.scope for lack in row.missing]
    return msgspec.convert(
        {**told, "why": dict.fromkeys(scopes, why), "next_steps": dict.fromkeys(scopes, step)}, ListedRow
    )


def test_a_row_tells_its_cause_its_evidence_what_is_next_and_how_the_grant_is_known() -> None:
    (row,) = worklist(replay(log_of(*STORY, insufficient(ALICE, "read:jira-work"))))
    assert [
        "",
        "u_alice001 at atlassian, since 2026-01-01 00:00:04Z, event 4",
        "  read:jira-work: a call failed without it",
        "    needed by identos.jira-user 1.2.0, since 2026-01-01 00:00:02Z, event 2",
        "    missed by jira-gateway for urn:connector:identos:jira-user, since 2026-01-01 00:00:04Z, event 4",
        "    next: asked at the next login",
        "  what is granted: the IdP said so, and a call has shown otherwise, event 3 of 2026-01-01 00:00:03Z",
    ] == list(explained(listed(row, "disproved", "next-login")))


def test_a_row_without_a_token_tells_why_it_is_gone() -> None:
    (row,) = worklist(replay(log_of(*STORY, provisioned("confluence-user", CONFLUENCE), cleared(ALICE))))
    found = listed(row, "cleared", "send-link")
    lines = list(explained(found))
    assert "  what is granted: there is no token (revoked), event 5 of 2026-01-01 00:00:05Z" == lines[-1]
    assert "    needed by identos.confluence-user 1.0.0, since 2026-01-01 00:00:04Z, event 4" in lines
    assert "send a link" == next_of(found)


def test_a_row_of_somebody_who_said_no_tells_when() -> None:
    no = ConsentDeclined(attempt="attempt-1", idp="atlassian", client=CLIENT, user=ALICE, requested=CONFLUENCE)
    (row,) = worklist(replay(log_of(*STORY, provisioned("confluence-user", CONFLUENCE), no)))
    found = listed(row, "not-allowed", "send-link")
    assert "did not allow it; said no at 2026-01-01 00:00:05Z" == why(found)
    assert "  asked on the IdP's page, and said no to all of it: event 5 of 2026-01-01 00:00:05Z" in explained(found)


def test_every_reason_and_every_step_has_its_words() -> None:
    assert (set(get_args(Why)), set(get_args(Step))) == (set(WHY), set(NEXT))


def test_words_of_a_later_version_are_shown_as_they_are() -> None:
    (row,) = worklist(replay(log_of(*STORY, insufficient(ALICE, "read:jira-work"))))
    found = listed(row, "some-new-reason", "some-new-step")
    assert "some-new-step" == next_of(found)
    assert any("?" in line for line in explained(found))


def test_nothing_moves_the_cursor_of_a_terminal() -> None:
    assert "a?[2Jb??" == plain("a\x1b[2Jb\x9b\n")


def told(rows: Sequence[Row], total: int, unknown: int = 0, **asked: str) -> str:
    found = Worklist(
        as_of=AsOf(9),
        total=total,
        unknown=unknown,
        items=tuple(listed(row, "never-asked", "next-login") for row in rows),
        next=None,
    )
    return summary(found, asked)


def test_users_are_counted_once_where_all_rows_are_there_and_else_it_is_said_that_each_idp_counts() -> None:
    everywhere = (registered("eu"), provisioned("wiki", ["read:me"], "eu"), stored(ALICE, [], idp="eu"))
    rows = list(worklist(replay(log_of(*STORY[:2], stored(ALICE, []), *everywhere))))
    assert "1 user must consent again, 2 times in all: once at each IdP, as of event 9." == told(rows, 2)
    assert "1 user must consent again, as of event 9; of 1 more it is not known." == told(rows[:1], 1, 1)
    assert "7 users must consent again, counted at each IdP, as of event 9." == told(rows[:1], 7)
    assert "7 users must consent again, as of event 9." == told(rows[:1], 7, idp="eu")
    assert "Nobody must consent again, as of event 9." == told([], 0)
