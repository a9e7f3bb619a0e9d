"""Which users must consent again, to what, since when and because of what? Given events, when folded, then the list."""

from scopefold.consent.reconsent import EMPTY, Row, State, fold, judge, replay, worklist
from scopefold.contracts.events import AuthorizationFailed, ConsentDeclined, Event
from tests.support.logs import (
    CLIENT,
    CONFLUENCE,
    JIRA,
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
ECHOED = JIRA[:-1]  # what Atlassian echoes; the refresh token stands for offline_access
NEW_IN_CONFLUENCE = CONFLUENCE[:2]
STORY: tuple[Event, ...] = (
    registered(),  # 1
    provisioned("jira-user", JIRA),  # 2
    stored(ALICE, ECHOED),  # 3
    logged_in(ALICE),  # 4
    stored(BOB, ECHOED),  # 5
    logged_in(BOB),  # 6
)


def given(*events: Event) -> State:
    return replay(log_of(*events))


def rows(*events: Event) -> list[Row]:
    return list(worklist(given(*events)))


def lacking(*events: Event) -> dict[str, list[str]]:
    return {row.user: [lack.scope for lack in row.missing] for row in rows(*events)}


def test_users_who_logged_in_with_everything_are_not_on_the_list() -> None:
    assert rows(*STORY) == []


def test_a_new_connector_puts_both_users_on_the_list_with_scope_connector_event_and_since() -> None:
    found = rows(*STORY, provisioned("confluence-user", CONFLUENCE))
    assert sorted(row.user for row in found) == [ALICE, BOB]
    for row in found:
        assert tuple(lack.scope for lack in row.missing) == NEW_IN_CONFLUENCE
        assert row.since.seq == 7
        assert row.stored.seq in (3, 5)
        assert (row.known_by, row.reports) == ("echoed", ())
        for lack in row.missing:
            (because,) = lack.because
            assert because.connector == "identos.confluence-user"
            assert because.resource_type == "urn:connector:identos:confluence-user"
            assert (because.cause.seq, because.cause.event_id) == (7, "event-000007")


def test_whoever_consents_again_leaves_the_list_and_the_other_stays() -> None:
    both = (*ECHOED, *NEW_IN_CONFLUENCE)
    found = lacking(*STORY, provisioned("confluence-user", CONFLUENCE), stored(ALICE, both, generation=2))
    assert found == {BOB: list(NEW_IN_CONFLUENCE)}


def test_after_deprovisioning_the_list_is_empty_and_the_union_is_what_it_was() -> None:
    before = given(*STORY, provisioned("confluence-user", CONFLUENCE))
    after = given(*STORY, provisioned("confluence-user", CONFLUENCE), deprovisioned("confluence-user"))
    assert list(worklist(after)) == []
    assert before.scopes.idps["atlassian"].union == after.scopes.idps["atlassian"].union


def test_a_user_whose_token_was_cleared_lacks_everything_that_is_needed_until_the_next_login() -> None:
    (row,) = rows(*STORY, cleared(ALICE))
    assert (row.user, row.since.seq, row.cleared and row.cleared.reason) == (ALICE, 7, "revoked")
    assert tuple(lack.scope for lack in row.missing) == JIRA
    assert rows(*STORY, cleared(ALICE), stored(ALICE, ECHOED, generation=2)) == []


def test_a_clearing_that_comes_after_the_next_token_does_not_mean_it() -> None:
    assert rows(*STORY, stored(ALICE, ECHOED, generation=2), cleared(ALICE)) == []
    assert rows(*STORY, cleared("u_nobody01")) == []


def test_of_a_removed_idp_nobody_is_on_the_worklist_and_registered_anew_it_begins_with_nobody() -> None:
    lacking_something = (*STORY, provisioned("confluence-user", CONFLUENCE))
    assert rows(*lacking_something, removed()) == []
    assert rows(*lacking_something, removed(), registered(), provisioned("jira-user", JIRA)) == []
    assert rows(*lacking_something, removed("elsewhere")) == rows(*lacking_something)
    back = (*STORY, removed(), registered(), provisioned("jira-user", JIRA))
    assert lacking(*back, stored(ALICE, ["read:me"], generation=1)) == {}, "a token that the log hears of late"
    assert list(lacking(*back, stored(ALICE, ["read:me"], generation=2))) == [ALICE]
    assert lacking(*back, insufficient(ALICE, "read:me"), cleared(ALICE, generation=2)) == {}
    assert rows(*STORY, erased(ALICE), *back[6:], stored(ALICE, ["read:me"], generation=9)) == []


def test_who_was_erased_is_on_no_worklist_whatever_comes_later() -> None:
    assert rows(*STORY, erased(ALICE)) == []
    assert rows(*STORY, erased(ALICE), stored(ALICE, ["read:me"], generation=9), cleared(ALICE, generation=9)) == []
    assert rows(*STORY, erased(ALICE, idp="elsewhere")) == rows(*STORY), "an IdP at a time"
    assert rows(erased(ALICE), *STORY) == []


def test_nothing_that_is_said_of_a_cleared_token_changes_why_it_is_gone() -> None:
    (row,) = rows(*STORY, cleared(ALICE), cleared(ALICE, reason="user"), insufficient(ALICE, "write:jira-work"))
    assert (row.since.seq, row.reports, row.cleared and row.cleared.reason) == (7, (), "revoked")


def test_a_report_puts_one_user_on_the_list_although_the_grant_said_otherwise() -> None:
    (row,) = rows(*STORY, insufficient(ALICE, "write:jira-work", generation=1))
    assert (row.user, row.known_by, row.since.seq) == (ALICE, "disproved", 7)
    assert [lack.scope for lack in row.missing] == ["write:jira-work"]
    (report,) = row.reports
    assert (report.publisher, report.missing, report.cause.seq) == ("jira-gateway", ("write:jira-work",), 7)


def test_logging_in_again_answers_the_report() -> None:
    assert rows(*STORY, insufficient(ALICE, "write:jira-work"), stored(ALICE, ECHOED, generation=2)) == []


def test_a_refresh_does_not_answer_the_report() -> None:
    reported = (*STORY, insufficient(ALICE, "write:jira-work"))
    for granted in (ECHOED, None):
        refreshed = (*reported, stored(ALICE, granted, generation=2, cause="refresh"))
        assert lacking(*refreshed) == {ALICE: ["write:jira-work"]}


def test_a_refresh_does_not_date_a_lack_anew() -> None:
    """Tokens are refreshed every hour; who has lacked a scope since January still has."""
    events = [*STORY, provisioned("confluence-user", CONFLUENCE)]
    for generation in range(2, 6):
        events.append(stored(ALICE, ECHOED, generation=generation, cause="refresh"))
        events.append(stored(BOB, None, generation=generation, cause="refresh"))
    found = {row.user: (row.since.seq, row.stored.seq, row.known_by) for row in rows(*events)}
    assert found == {ALICE: (7, 3, "echoed"), BOB: (7, 5, "echoed")}


def test_a_refresh_that_narrows_a_grant_dates_the_lack() -> None:
    (row,) = rows(*STORY, stored(ALICE, ECHOED[:3], generation=2, cause="refresh"))
    assert (row.user, row.since.seq) == (ALICE, 7)


def test_a_refresh_without_a_new_refresh_token_proves_nothing_against_the_old_one() -> None:
    assert rows(*STORY, stored(ALICE, ECHOED, generation=2, cause="refresh", evidence=())) == []


def test_a_refresh_that_does_not_say_what_it_carries_carries_what_was_granted_before() -> None:
    assert rows(*STORY, stored(ALICE, None, generation=2, cause="refresh")) == []


def test_a_refresh_may_narrow_a_grant() -> None:
    found = lacking(*STORY, stored(ALICE, ("read:me",), generation=2, cause="refresh"))
    assert found == {ALICE: ["read:jira-user", "read:jira-work", "write:jira-work"]}


def test_a_refresh_never_widens_a_grant() -> None:
    narrow = (*STORY[:2], stored(ALICE, ("read:me",)))
    before = lacking(*narrow)
    assert before == {ALICE: ["read:jira-user", "read:jira-work", "write:jira-work"]}
    assert before == lacking(*narrow, stored(ALICE, ECHOED, generation=2, cause="refresh"))


def test_a_refresh_may_say_what_nobody_had_said_yet() -> None:
    silent = (*STORY[:2], stored(ALICE, None))
    assert rows(*silent) == [], "unknown is not missing"
    assert rows(*silent, stored(ALICE, ECHOED, generation=2, cause="refresh")) == []
    told = lacking(*silent, stored(ALICE, ECHOED[:3], generation=2, cause="refresh"))
    assert told == {ALICE: ["write:jira-work"]}


def test_a_login_replaces_the_grant_even_with_less() -> None:
    assert lacking(*STORY, stored(BOB, ECHOED[:3], generation=2)) == {BOB: ["write:jira-work"]}


def test_a_user_who_came_after_the_connector_lacks_it_since_the_login() -> None:
    events = (registered(), provisioned("jira-user", JIRA), stored(ALICE, ("read:me",)))
    (row,) = rows(*events)
    assert (row.since.seq, row.stored.seq) == (3, 3)


def test_without_a_refresh_token_offline_access_is_missing() -> None:
    assert lacking(*STORY[:2], stored(ALICE, ECHOED, evidence=("identity",))) == {ALICE: ["offline_access"]}


def test_a_token_that_comes_late_or_twice_changes_nothing() -> None:
    news = (*STORY, stored(ALICE, ECHOED, generation=3))
    before = given(*news)
    for late in (stored(ALICE, (), generation=2), stored(ALICE, (), generation=3), stored(ALICE, ECHOED, generation=3)):
        assert before == given(*news, late)


def test_a_report_counts_again_after_each_consent_and_nothing_grows_with_it() -> None:
    """ADR 0009: nothing counts how often. A consent answers it every time, and the row is as after the first."""
    events: tuple[Event, ...] = STORY
    for generation in range(2, 12):
        events = (*events, insufficient(ALICE, "write:jira-work"))
        (row,) = rows(*events)
        assert (1, ()) == (len(row.reports), row.ungiven)
        events = (*events, stored(ALICE, ECHOED, generation=generation))
        assert rows(*events) == []


def test_a_report_on_an_older_token_is_stale() -> None:
    renewed = (*STORY, stored(ALICE, ECHOED, generation=2))
    assert given(*renewed) == given(*renewed, insufficient(ALICE, "write:jira-work", generation=1))
    assert rows(*renewed, insufficient(ALICE, "write:jira-work", generation=2)) != []


def test_a_report_on_a_user_without_a_token_says_nothing() -> None:
    assert given(*STORY[:2]) == given(*STORY[:2], insufficient(ALICE, "write:jira-work"))
    assert given(*STORY) == given(*STORY, insufficient(ALICE, "write:jira-work", idp="google"))


def test_the_same_report_twice_counts_once_and_the_first_dates_it() -> None:
    once = (*STORY, insufficient(ALICE, "write:jira-work"))
    assert given(*once) == given(*once, insufficient(ALICE, "write:jira-work"))
    (row,) = rows(*once, insufficient(ALICE, "write:jira-work", "read:jira-work"))
    assert [(report.cause.seq, report.missing) for report in row.reports] == [
        (7, ("write:jira-work",)),
        (8, ("read:jira-work",)),
    ]
    assert row.since.seq == 7


def test_a_report_of_a_scope_that_nobody_needs_puts_nobody_on_the_list() -> None:
    assert rows(*STORY, insufficient(ALICE, "manage:jira-webhook")) == []


def test_a_report_that_offline_access_is_missing_outweighs_the_refresh_token() -> None:
    assert lacking(*STORY, insufficient(ALICE, "offline_access")) == {ALICE: ["offline_access"]}


def test_when_a_connector_moves_to_another_idp_its_users_owe_the_old_one_nothing() -> None:
    narrow = (registered(), registered("atlassian-eu"), provisioned("jira-user", JIRA), stored(ALICE, ("read:me",)))
    assert list(lacking(*narrow)) == [ALICE]
    assert rows(*narrow, provisioned("jira-user", JIRA, "atlassian-eu")) == []


def test_a_user_at_two_idps_is_judged_at_each() -> None:
    events = (
        *STORY,
        registered("bitbucket", "bitbucket", ()),
        provisioned("bitbucket-user", ("pullrequest",), "bitbucket"),
        stored(ALICE, ("repository",), idp="bitbucket"),
    )
    (row,) = rows(*events)
    assert (row.user, row.idp) == (ALICE, "bitbucket")
    assert [lack.scope for lack in row.missing] == ["pullrequest"]


def test_a_new_version_keeps_since_when_the_old_scopes_are_lacking() -> None:
    events = (
        *STORY[:2],
        stored(ALICE, ECHOED[:3]),
        provisioned("search", ("search:confluence",)),
        provisioned("search", ("search:confluence", "read:confluence-user")),
    )
    (row,) = rows(*events)
    since = {lack.scope: [because.cause.seq for because in lack.because] for lack in row.missing}
    assert since == {"write:jira-work": [2], "search:confluence": [4], "read:confluence-user": [5]}
    assert row.since.seq == 3


def test_a_scope_that_two_connectors_need_names_both() -> None:
    events = (*STORY, provisioned("wiki", CONFLUENCE), provisioned("search", CONFLUENCE[:1]))
    for row in rows(*events):
        named = {lack.scope: [because.connector for because in lack.because] for lack in row.missing}
        assert named == {CONFLUENCE[0]: ["identos.search", "identos.wiki"], CONFLUENCE[1]: ["identos.wiki"]}
        assert row.since.seq == 7


def test_a_base_scope_is_needed_by_the_idp_itself() -> None:
    events = (registered("bitbucket", "bitbucket", ("account", "email")), stored(ALICE, (), idp="bitbucket"))
    (row,) = rows(*events)
    (lack,) = row.missing
    assert (lack.scope, [because.connector for because in lack.because]) == ("account", [None])


def test_at_an_unknown_profile_every_scope_means_itself() -> None:
    events = (registered("other", "not-shipped-yet", ("openid",)), stored(ALICE, (), idp="other"))
    assert lacking(*events) == {ALICE: ["openid"]}


def test_who_never_logged_in_at_a_registered_idp_owes_nothing_and_an_unregistered_idp_asks_nothing() -> None:
    assert rows(stored(ALICE, (), idp="nowhere")) == []
    assert rows(registered(), provisioned("jira-user", JIRA)) == []


def test_saying_no_and_failing_change_no_grant() -> None:
    declined = ConsentDeclined(attempt="attempt-1", idp="atlassian", client=CLIENT, user=ALICE, requested=JIRA)
    failed = AuthorizationFailed(
        attempt="attempt-2", idp="atlassian", client=CLIENT, requested=JIRA, stage="token", error="server_error"
    )
    after = given(*STORY, declined, failed, logged_in(ALICE))
    assert (given(*STORY).grants, list(worklist(after))) == (after.grants, [])


def test_what_nobody_said_is_judged_unknown_and_is_not_on_the_list() -> None:
    state = given(*STORY[:2], stored(ALICE, None))
    held = state.grants["atlassian", ALICE]
    assert judge(state.scopes.idps["atlassian"], held.grant).status == "unknown"
    assert list(worklist(state)) == []


def test_folding_one_event_does_not_change_the_state_before_it() -> None:
    log = log_of(*STORY)
    before = replay(log[:4])
    kept = replay(log[:4])
    fold(before, log[4])
    assert kept == before
    assert State() == EMPTY


def test_registering_an_idp_again_does_not_date_its_base_scopes_anew() -> None:
    """An operator corrects a client id; who has lacked a base scope since January still has."""
    first = registered(base=("read:me",))
    (row,) = rows(first, stored(ALICE, []), registered(base=("read:me", "offline_access")))
    assert (("read:me", 1), 2) == ((row.missing[0].scope, row.missing[0].because[0].cause.seq), row.since.seq)
    (row,) = rows(first, stored(ALICE, []), registered(base=()), first)
    assert 4 == row.missing[0].because[0].cause.seq, "it was not needed in between"
