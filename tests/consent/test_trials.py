"""What was newly asked for is the suspect while people fail with it and nobody comes through."""

import pytest

from scopefold.consent.failures import MAX_KINDS
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import replay
from scopefold.consent.trials import MAX_FAILED, Trial
from scopefold.contracts.events import Event
from tests.support.logs import JIRA, failed, log_of, provisioned, registered, restored, stored

STORY: tuple[Event, ...] = (registered(), provisioned("jira-user", JIRA), stored("u_alice001", JIRA))
WIKI = provisioned("wiki", ["read:me", "read:wiki"])
ASKED = (*JIRA, "read:wiki")


def at(*events: Event) -> Idp:
    return replay(log_of(*events)).scopes.idps["atlassian"]


def trial(*events: Event) -> Trial:
    (found,) = at(*events).trials
    return found


def test_what_was_asked_for_before_is_not_tried_again() -> None:
    found = trial(*STORY, WIKI)
    assert (found.connector, found.scopes, found.cause.seq, found.suspect) == ("identos.wiki", ("read:wiki",), 4, False)
    assert at(*STORY, provisioned("other", JIRA)).trials == ()


def test_three_who_fail_with_it_make_it_the_suspect() -> None:
    fails = [failed(f"attempt-{n}", ASKED) for n in range(3)]
    assert not trial(*STORY, WIKI, *fails[:2]).suspect
    found = trial(*STORY, WIKI, *fails)
    assert found.suspect
    assert found.last is not None
    assert (found.last.seq, found.last_error) == (7, "invalid_scope")


def test_one_person_who_fails_three_times_is_one() -> None:
    assert not trial(*STORY, WIKI, *(failed(f"attempt-{n}", ASKED, user="u_alice001") for n in range(3))).suspect
    assert not trial(*STORY, WIKI, *[failed("attempt-1", ASKED)] * 3).suspect


@pytest.mark.parametrize(
    "other",
    [
        failed("attempt-9", JIRA),  # it was begun before
        failed("attempt-9", ASKED, stage="token", error="http_503"),  # the IdP is down
        failed("attempt-9", ASKED, stage="identity", error="ConnectTimeout"),
        failed("attempt-9", ASKED, error="temporarily_unavailable"),
        failed("attempt-9", ASKED, idp="other"),
    ],
)
def test_what_the_scopes_cannot_have_caused_does_not_count(other: Event) -> None:
    assert trial(*STORY, WIKI, other).failed == ()


def test_an_invalid_scope_counts_wherever_it_is_told() -> None:
    assert trial(*STORY, WIKI, failed("attempt-1", ASKED, stage="token")).failed == ("attempt-1",)


def test_whoever_comes_through_acquits_it() -> None:
    fails = [failed(f"attempt-{n}", ASKED) for n in range(3)]
    assert at(*STORY, WIKI, stored("u_bob00001", JIRA, requested=ASKED), *fails).trials == ()
    assert at(*STORY, WIKI, *fails, stored("u_bob00001", JIRA, requested=ASKED)).trials == ()


def test_who_came_through_without_it_or_by_a_refresh_does_not() -> None:
    assert at(*STORY, WIKI, stored("u_bob00001", JIRA)).trials
    assert at(*STORY, WIKI, stored("u_alice001", JIRA, generation=2, cause="refresh", requested=ASKED)).trials


def test_what_an_operator_has_restored_begins_anew() -> None:
    fails = [failed(f"attempt-{n}", ASKED) for n in range(3)]
    found = trial(*STORY, WIKI, *fails, restored("read:wiki"))
    assert (found.failed, found.suspect, found.last) == ((), False, None)


def test_however_many_fail_what_is_kept_is_bounded() -> None:
    assert len(trial(*STORY, WIKI, *(failed(f"attempt-{n}", ASKED) for n in range(200))).failed) == MAX_FAILED


def test_failures_are_counted_by_kind_the_latest_last() -> None:
    down = failed("attempt-9", JIRA, stage="token", error="http_503")
    found = at(*STORY, failed("attempt-1", JIRA), down, failed("attempt-2", JIRA)).failures
    assert [("token", "http_503", 1), ("authorize", "invalid_scope", 2)] == [
        (one.stage, one.error, one.count) for one in found
    ]
    assert found[-1].last.seq == 6


def test_however_many_kinds_there_are_what_is_kept_is_bounded() -> None:
    found = at(*STORY, *(failed("attempt-1", JIRA, error=f"error-{n}") for n in range(MAX_KINDS + 10))).failures
    assert len(found) == MAX_KINDS + 1
    assert ("other", 10) == (found[-1].error, found[-1].count)
