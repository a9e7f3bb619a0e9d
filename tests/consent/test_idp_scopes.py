"""What must each IdP be asked for, because of which connector, and where is each resource type routed?"""

from scopefold.consent.idp_scopes import EMPTY, State, fold
from scopefold.contracts.events import Event
from scopefold.contracts.words import resource_type_of
from scopefold.scopes.profile import PLAIN
from scopefold.scopes.union import to_request
from tests.support.logs import BASE, CONFLUENCE, JIRA, deprovisioned, log_of, logged_in, provisioned, registered, stored

JIRA_TYPE = resource_type_of("identos.jira-user")


def given(*events: Event) -> State:
    state = EMPTY
    for recorded in log_of(*events):
        state = fold(state, recorded)
    return state


def test_a_registered_idp_is_asked_for_its_base_scopes() -> None:
    state = given(registered())
    assert state.idps["atlassian"].union == BASE
    assert state.routes == {}


def test_a_provisioned_connector_adds_its_scopes_in_its_order_and_is_routed() -> None:
    state = given(registered(), provisioned("jira-user", JIRA))
    union = (
        "openid", "email", "profile",
        "read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access",
    )  # fmt: skip
    idp = state.idps["atlassian"]
    assert union == idp.union
    assert state.routes == {JIRA_TYPE: "atlassian"}
    assert union[3:] == to_request(idp.profile, idp.union)


def test_provisioning_again_changes_neither_the_union_nor_since_when_a_scope_is_needed() -> None:
    once = given(registered(), provisioned("jira-user", JIRA))
    twice = given(registered(), provisioned("jira-user", JIRA), provisioned("jira-user", JIRA, version="1.1.0"))
    before, after = once.connector(JIRA_TYPE), twice.connector(JIRA_TYPE)
    assert before is not None
    assert after is not None
    assert before[0].union == after[0].union
    assert before[1].needs == after[1].needs
    assert (after[1].version, after[1].cause.seq) == ("1.1.0", 3)


def test_a_new_version_dates_only_what_it_newly_needs() -> None:
    more = (*JIRA, "manage:jira-webhook")
    found = given(registered(), provisioned("jira-user", JIRA), provisioned("jira-user", more)).connector(JIRA_TYPE)
    assert found is not None
    since = {need.scope: need.cause.seq for need in found[1].needs}
    assert {**dict.fromkeys(JIRA, 2), "manage:jira-webhook": 3} == since


def test_a_scope_that_was_dropped_in_between_is_needed_only_since_it_came_back() -> None:
    events = [provisioned("jira-user", scopes) for scopes in (("a", "b"), ("a",), ("a", "b"))]
    found = given(registered(), *events).connector(JIRA_TYPE)
    assert found is not None
    assert {need.scope: need.cause.seq for need in found[1].needs} == {"a": 2, "b": 4}


def test_a_scope_that_a_manifest_names_twice_is_needed_once() -> None:
    found = given(provisioned("jira-user", ("a", "b", "a"))).connector(JIRA_TYPE)
    assert found is not None
    assert found[1].upstream_scopes == ("a", "b")


def test_a_deprovisioned_connector_loses_its_route_and_the_union_keeps_its_scopes() -> None:
    before = given(registered(), provisioned("jira-user", JIRA))
    after = given(registered(), provisioned("jira-user", JIRA), deprovisioned("jira-user"))
    assert before.idps["atlassian"].union == after.idps["atlassian"].union
    assert after.routes == {}
    assert after.connector(JIRA_TYPE) is None


def test_deprovisioning_at_an_idp_that_does_not_serve_it_changes_nothing() -> None:
    before = given(registered(), provisioned("jira-user", JIRA))
    for stray in (deprovisioned("jira-user", "google"), deprovisioned("confluence-user")):
        assert before == given(registered(), provisioned("jira-user", JIRA), stray)


def test_a_connector_that_moves_is_routed_to_its_new_idp_alone() -> None:
    events = (registered(), registered("atlassian-eu"), provisioned("jira-user", JIRA))
    state = given(*events, provisioned("jira-user", JIRA, "atlassian-eu"))
    assert state.routes == {JIRA_TYPE: "atlassian-eu"}
    assert state.idps["atlassian"].connectors == {}
    assert state.idps["atlassian"].union == (*BASE, *JIRA)
    assert state.idps["atlassian-eu"].union == (*BASE, *JIRA)
    moved = state.connector(JIRA_TYPE)
    assert moved is not None
    assert {need.cause.seq for need in moved[1].needs} == {4}


def test_two_connectors_share_a_scope_that_neither_takes_away_from_the_other() -> None:
    events = (registered(), provisioned("jira-user", JIRA), provisioned("confluence-user", CONFLUENCE))
    state = given(*events, deprovisioned("jira-user"))
    found = state.connector(resource_type_of("identos.confluence-user"))
    assert found is not None
    assert found[1].upstream_scopes == CONFLUENCE


def test_registering_again_takes_the_new_registration_and_keeps_union_and_connectors() -> None:
    state = given(registered(), provisioned("jira-user", JIRA), registered(base=("read:me",)))
    idp = state.idps["atlassian"]
    assert idp.registration is not None
    assert idp.registration.event.base_scopes == ("read:me",)
    assert idp.union == (*BASE, *JIRA)
    assert list(idp.connectors) == [JIRA_TYPE]


def test_a_connector_may_come_before_its_idp_is_registered() -> None:
    early = given(provisioned("jira-user", JIRA))
    assert early.idps["atlassian"].profile == PLAIN
    late = given(provisioned("jira-user", JIRA), registered())
    assert late.idps["atlassian"].profile.name == "atlassian"
    assert late.idps["atlassian"].union == (*JIRA, *BASE)


def test_a_profile_that_this_version_does_not_know_means_that_every_scope_means_itself() -> None:
    state = given(registered("other", "not-shipped-yet"))
    assert state.idps["other"].profile == PLAIN


def test_what_users_do_changes_no_idp_but_that_the_first_to_come_through_ends_a_trial() -> None:
    events = (registered(), provisioned("jira-user", JIRA), stored("u_alice001", JIRA))
    before = given(*events)
    assert before.idps["atlassian"].trials == ()
    assert before == given(*events, stored("u_bob00001", JIRA), logged_in("u_alice001"))
