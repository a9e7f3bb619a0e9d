"""A question that names what is not there is told so, and what is there."""

import pytest

from scopefold.consent.named import NotThere, look_up, look_up_in_either, look_up_scope
from scopefold.consent.reconsent import replay
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import AsOf
from scopefold.scopes.coverage import carries
from tests.support.logs import deprovisioned, log_of, provisioned, pruned, registered, removed, stored

LOG: list[Event] = [
    registered(),  # 1
    provisioned("jira-user", ["read:me"]),  # 2
    registered("ms", "microsoft"),  # 3
    provisioned("mail", ["Mail.Read"], "ms"),  # 4
    removed("ms"),  # 5
    deprovisioned("jira-user"),  # 6
    provisioned("wiki", ["read:me"], "early"),  # 7: where nobody has registered it
    registered("ms", "microsoft"),  # 8
]
REMOVED = "This identity provider was removed: ms, by event 5 of 2026-01-01 00:00:05Z. As of event {} there are: {}."
NO_IDP = "There is no such identity provider: {}. As of event {} there are: {}."
NO_CONNECTOR = "No such connector is provisioned: {}. As of event {} there are: {}."


@pytest.mark.parametrize(
    ("seq", "idp", "connector", "says"),
    [
        (4, None, None, None),
        (4, "ms", None, None),
        (4, "ms", "identos.mail", None),
        (4, "ms", "urn:connector:identos:mail", None),
        (4, None, "identos.jira-user", None),
        (0, "atlassian", None, NO_IDP.format("atlassian", 0, "none")),
        (4, "typo", None, NO_IDP.format("typo", 4, "atlassian, ms")),
        (4, "a\x1b[1m\n" + "x" * 200, None, NO_IDP.format("a?[1m?" + "x" * 74, 4, "atlassian, ms")),
        (2, "ms", None, NO_IDP.format("ms", 2, "atlassian")),  # not yet
        (5, "ms", None, REMOVED.format(5, "atlassian")),
        (5, "ms", "identos.mail", REMOVED.format(5, "atlassian")),
        (7, "ms", None, REMOVED.format(7, "atlassian, early")),
        (8, "ms", None, None),
        (7, "early", "identos.wiki", None),
        (4, "ms", "identos.jira-user", NO_CONNECTOR.format("identos.jira-user at ms", 4, "identos.mail")),
        (4, None, "typo", NO_CONNECTOR.format("typo", 4, "identos.jira-user, identos.mail")),
        (5, None, "identos.mail", NO_CONNECTOR.format("identos.mail", 5, "identos.jira-user")),
        (6, None, "identos.jira-user", NO_CONNECTOR.format("identos.jira-user", 6, "none")),
    ],
)
def test_what_is_there_then_may_be_named(seq: int, idp: str | None, connector: str | None, says: str | None) -> None:
    scopes = replay(log_of(*LOG[:seq])).scopes
    if says is None:
        look_up(scopes, AsOf(seq), idp=idp, connector=connector)
        return
    with pytest.raises(NotThere) as told:
        look_up(scopes, AsOf(seq), idp=idp, connector=connector)
    assert says == str(told.value)


def test_between_two_moments_it_is_enough_to_be_there_at_one() -> None:
    states = [replay(log_of(*LOG[:seq])).scopes for seq in range(len(LOG) + 1)]
    for first, second in ((2, 3), (4, 5), (5, 8)):
        look_up_in_either(states[first], states[second], AsOf(second), "ms")
    for first, second in ((0, 2), (5, 7)):
        with pytest.raises(NotThere):
            look_up_in_either(states[first], states[second], AsOf(second), "ms")


def test_of_many_names_some_are_told() -> None:
    scopes = replay(log_of(*(registered(f"idp{n:02}") for n in range(30)))).scopes
    with pytest.raises(NotThere, match=r"idp18, idp19 and 10 more\.$"):
        look_up(scopes, AsOf(30), idp="typo")


NEEDED: list[Event] = [
    registered(base=["read:me"]),  # 1
    provisioned("jira-user", ["read:jira-work"], alternatives=[["read:issue:jira"]]),  # 2
    registered("ms", "microsoft", []),  # 3
    provisioned("mail", ["Mail.Read"], "ms"),  # 4
    stored("u_alice001", ["Files.Read"], idp="ms"),  # 5
    deprovisioned("jira-user"),  # 6: logins ask for it still
    pruned("read:jira-work"),  # 7
    stored("u_alice001", ["Mail.Read"], idp="ms", generation=2),  # 8
]
NO_SCOPE = "Nobody needs or holds such a scope: {}. As of event {} there are: {}."
HERE = "read:issue:jira, read:jira-work, read:me"


@pytest.mark.parametrize(
    ("seq", "scope", "idp", "says"),
    [
        (2, None, None, None),
        (2, "read:me", None, None),  # the IdP's own
        (2, "read:issue:jira", "atlassian", None),  # on one of several lists
        (2, "read:jira-wrok", "atlassian", NO_SCOPE.format("read:jira-wrok at atlassian", 2, HERE)),
        (1, "read:jira-work", None, NO_SCOPE.format("read:jira-work", 1, "read:me")),  # not yet
        (6, "read:jira-work", None, None),
        (7, "read:jira-work", None, NO_SCOPE.format("read:jira-work", 7, "{MAIL}, read:me")),
        (4, "MAIL.READ", None, None),  # in any spelling
        (4, "Mail.Read", "atlassian", NO_SCOPE.format("Mail.Read at atlassian", 4, HERE)),
        (5, "files.read", "ms", None),  # held
        (5, "files.read", "atlassian", NO_SCOPE.format("files.read at atlassian", 5, HERE)),
        (8, "files.read", "ms", NO_SCOPE.format("files.read at ms", 8, "{MAIL}")),  # held no more
    ],
)
def test_a_scope_is_there_where_somebody_needs_it_or_holds_it(
    seq: int, scope: str | None, idp: str | None, says: str | None
) -> None:
    state = replay(log_of(*NEEDED[:seq]))

    def users_with(idp: str, name: str) -> int:
        profile = state.scopes.idp(idp).profile
        return sum(held.idp == idp and carries(profile, held.grant, name) for held in state.present())

    if says is None:
        look_up_scope(state.scopes, AsOf(seq), scope, idp=idp, users_with=users_with)
        return
    with pytest.raises(NotThere) as told:
        look_up_scope(state.scopes, AsOf(seq), scope, idp=idp, users_with=users_with)
    assert says.format(MAIL="https://graph.microsoft.com/mail.read") == str(told.value)
