"""What people read of one row of the worklist."""

import msgspec

from scopefold.cli.answers import ListedRow
from scopefold.cli.reconsent import explained, next_of
from scopefold.cli.table import plain
from scopefold.consent.reconsent import Row, replay, worklist
from tests.support.logs import CONFLUENCE, JIRA, cleared, insufficient, log_of, provisioned, registered, stored

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


def test_words_of_a_later_version_are_shown_as_they_are() -> None:
    (row,) = worklist(replay(log_of(*STORY, insufficient(ALICE, "read:jira-work"))))
    found = listed(row, "some-new-reason", "some-new-step")
    assert "some-new-step" == next_of(found)
    assert any("?" in line for line in explained(found))


def test_nothing_moves_the_cursor_of_a_terminal() -> None:
    assert "a?[2Jb??" == plain("a\x1b[2Jb\x9b\n")
