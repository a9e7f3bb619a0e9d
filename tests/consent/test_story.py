"""The story of a grant: given these events, these lines; and an end that the folds agree with."""

import pytest
from hypothesis import given

from scopefold.consent.reconsent import judge, replay
from scopefold.consent.story import tell
from scopefold.contracts.events import ConsentDeclined, Event, GrantRevoked
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.subjects import OF_IDPS
from tests.support.logs import (
    BASE,
    CLIENT,
    IDPS,
    JIRA,
    USERS,
    at_place,
    cleared,
    deprovisioned,
    erased,
    failed,
    insufficient,
    log_of,
    logged_in,
    logs,
    provisioned,
    registered,
    removed,
    restored,
    stored,
    withheld,
)

ALICE, BOB = "u_alice001", "u_bob00001"
READ = "read:confluence-content.all"
GRANT = "3q2-7wAAq83vEjRWeJq83g"
BEGUN = (registered(base=()), provisioned("jira-user", JIRA[:2]), stored(ALICE, JIRA[:2]))
NEEDED = "The user must consent again to"

TABLE: list[tuple[str, tuple[Event, ...], list[tuple[int, str, str]]]] = [
    (
        "what is needed and granted",
        (registered(base=BASE), *BEGUN),
        [
            (1, "atlassian was registered as atlassian, with the base scopes openid email profile.", ""),
            (2, "atlassian was registered again as atlassian, without base scopes.", ""),
            (
                3,
                "Jira-User (identos.jira-user 1.0.0) was provisioned: its users need read:me read:jira-user."
                " New in what logins ask for: read:me read:jira-user.",
                "",
            ),
            (
                4,
                "The user logged in, was asked for read:me read:jira-user and granted read:me read:jira-user,"
                " as the IdP said.",
                "The grant covers everything that is needed.",
            ),
        ],
    ),
    (
        "a step-up",
        (*BEGUN, provisioned("wiki", [READ]), stored(ALICE, (*JIRA[:2], READ), generation=2, cause="step-up")),
        [
            (
                4,
                f"Wiki (identos.wiki 1.0.0) was provisioned: its users need {READ}."
                f" New in what logins ask for: {READ}.",
                f"{NEEDED} {READ}.",
            ),
            (
                5,
                f"The user consented in a step-up, was asked for read:me read:jira-user {READ} and granted"
                f" read:me read:jira-user {READ}, as the IdP said.",
                "The grant covers everything that is needed.",
            ),
        ],
    ),
    (
        "asked in vain, twice",
        (
            *BEGUN,
            provisioned("wiki", [READ]),
            stored(ALICE, JIRA[:2], generation=2, requested=(*JIRA[:2], READ)),
            stored(ALICE, JIRA[:2], generation=3, requested=(*JIRA[:2], READ)),
        ),
        [
            (
                5,
                f"The user logged in, was asked for read:me read:jira-user {READ} and granted read:me read:jira-user,"
                f" as the IdP said. Asked for in vain: {READ}.",
                "",
            ),
            (
                6,
                f"The user logged in, was asked for read:me read:jira-user {READ} and granted read:me read:jira-user,"
                f" as the IdP said. Asked for in vain, 2 times in a row: {READ}.",
                "",
            ),
        ],
    ),
    (
        "a token that came late",
        (*BEGUN, stored(ALICE, (), generation=1)),
        [(4, "Token 1 came late: a newer one is stored already.", "")],
    ),
    (
        "a token that came after its user was erased",
        (*BEGUN, erased(ALICE), stored(ALICE, JIRA, generation=9)),
        [
            (4, "The user was erased: all that was kept of them here is gone.", ""),
            (5, "Token 9 came late: the user was erased before.", ""),
        ],
    ),
    (
        "an answer that says nothing",
        (*BEGUN, stored(ALICE, None, generation=2, requested=("read:me",))),
        [
            (
                4,
                "The user logged in, was asked for read:me and granted what the IdP did not say.",
                "Whether the grant covers what is needed is not known.",
            )
        ],
    ),
    (
        "a report, the same again, one on an older token, and one without a token",
        (
            *BEGUN,
            insufficient(ALICE, "read:me"),
            insufficient(ALICE, "read:me"),
            stored(ALICE, JIRA[:2], generation=2),
            insufficient(ALICE, "read:me", generation=1, name="elsewhere"),
            cleared(ALICE, generation=2),
            insufficient(ALICE, "read:me"),
        ),
        [
            (
                4,
                "jira-gateway reported that a call for Jira-User met the token without read:me.",
                f"{NEEDED} read:me.",
            ),
            (5, "jira-gateway reported that a call for Jira-User met the token without read:me. That was known.", ""),
            (
                6,
                "The user logged in, was asked for read:me read:jira-user and granted read:me read:jira-user,"
                " as the IdP said.",
                "The grant covers everything that is needed.",
            ),
            (
                7,
                "jira-gateway reported that a call for urn:connector:identos:elsewhere met the token without read:me."
                " It means an older token, and counts for nothing.",
                "",
            ),
            (8, "The token was cleared: the provider refuses it.", f"{NEEDED} read:me read:jira-user."),
            (
                9,
                "jira-gateway reported that a call for Jira-User met the token without read:me."
                " There is no token: it counts for nothing.",
                "",
            ),
        ],
    ),
    (
        "clears: of an older token, and for a reason of a later version",
        (*BEGUN, stored(ALICE, JIRA[:2], generation=2, cause="refresh"), cleared(ALICE), cleared(ALICE, generation=2)),
        [
            (4, "The token was renewed.", ""),
            (5, "Token 1 was to be cleared, but it is not the one that is stored.", ""),
            (6, "The token was cleared: the provider refuses it.", f"{NEEDED} read:me read:jira-user."),
        ],
    ),
    (
        "a reason that is not known here",
        (*BEGUN, cleared(ALICE, reason="eaten")),
        [(4, "The token was cleared: eaten.", f"{NEEDED} read:me read:jira-user.")],
    ),
    (
        "refusals, failures, logins and what apps had",
        (
            *BEGUN,
            ConsentDeclined(attempt="attempt-1", idp="atlassian", client=CLIENT, user=ALICE, requested=("read:me",)),
            failed("attempt-2", ["read:me"], user=ALICE),
            logged_in(ALICE),
            GrantRevoked(user=ALICE, idp="atlassian", client=CLIENT, grant=GRANT, reason="code-reused"),
        ),
        [
            (4, "The user said no on the consent page, asked for read:me.", ""),
            (5, "A login of the user failed at step authorize: invalid_scope. Asked for read:me.", ""),
            (6, "The user was logged in to playground.", ""),
            (7, "What playground was granted here ended (code-reused). The IdP's token is not touched.", ""),
        ],
    ),
    (
        "connectors that change, move and go, and what logins leave out",
        (
            *BEGUN,
            provisioned("jira-user", JIRA[:2]),
            provisioned("jira-user", JIRA[:1], version="2.0.0", alternatives=[("read:jira-work",)]),
            withheld("read:me"),
            restored("read:me"),
            provisioned("jira-user", JIRA[:1], idp="other"),
            deprovisioned("jira-user"),
            provisioned("wiki", ()),
            deprovisioned("wiki"),
        ),
        [
            (4, "Jira-User (identos.jira-user 1.0.0) was provisioned again: its users need the same.", ""),
            (
                5,
                "Jira-User (identos.jira-user 2.0.0) was provisioned again: its users need read:me, or instead"
                " read:jira-work; before, read:me read:jira-user.",
                "",
            ),
            (6, "Logins leave out read:me for now: an operator decided so.", ""),
            (7, "Logins ask for read:me again, of everybody who lacks them.", ""),
            (8, "Jira-User (identos.jira-user 1.0.0) moved to other: it needs nothing here any more.", ""),
            (10, "Wiki (identos.wiki 1.0.0) was provisioned: its users need nothing.", ""),
            (11, "Wiki (identos.wiki) was deprovisioned: it needs nothing any more.", ""),
        ],
    ),
    (
        "what concerns others",
        (
            *BEGUN,
            stored(BOB, JIRA),
            registered("other", "no-such"),
            stored(ALICE, ("x",), idp="other"),
            failed("attempt-2", ["read:me"]),
            deprovisioned("unknown"),
            provisioned("search", ["x"], idp="other"),
        ),
        [],
    ),
]


@pytest.mark.parametrize(("events", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_given_these_events_these_lines(events: tuple[Event, ...], expected: list[tuple[int, str, str]]) -> None:
    told = [(line.seq, line.says, line.then) for line in tell(ALICE, "atlassian", log_of(*events)).lines]
    first = expected[0][0] if expected else len(BEGUN) + 1
    assert expected == [line for line in told if line[0] >= first]


def test_renewals_in_a_row_are_one_line_and_one_that_changed_the_grant_is_its_own() -> None:
    renewed = [stored(ALICE, JIRA[:2], generation=2 + n, cause="refresh") for n in range(12)]
    shrunk = stored(ALICE, JIRA[:1], generation=14, cause="refresh")
    again = stored(ALICE, JIRA[:1], generation=15, cause="refresh")
    *_, first, second, third = tell(ALICE, "atlassian", log_of(*BEGUN, *renewed, shrunk, again)).lines
    assert ("The token was renewed.", 12, 4) == (first.says, first.times, first.seq)
    assert first.until is not None
    assert (15, "event-000015") == (first.until.seq, first.until.event_id)
    assert ("The token was renewed, and what it carries changed: it lost read:jira-user.", 1) == (
        second.says,
        second.times,
    )
    assert f"{NEEDED} read:jira-user." == second.then
    assert (17, 1, None) == (third.seq, third.times, third.until)


ENDS: list[tuple[tuple[Event, ...], str]] = [
    ((), f"The log knows no token of {ALICE} at atlassian: there is no such identity provider."),
    ((registered("ms"),), f"The log knows no token of {ALICE} at atlassian: there is no such identity provider."),
    ((registered(),), f"The log knows no token of {ALICE} at atlassian."),
    ((registered(), removed()), f"The log knows no token of {ALICE} at atlassian."),
    (BEGUN, f"{ALICE} has granted at atlassian everything that is needed there."),
    ((*BEGUN, cleared(BOB)), f"{ALICE} has granted at atlassian everything that is needed there."),
    (
        (*BEGUN, provisioned("wiki", [READ])),
        f"{ALICE} must consent again at atlassian to {READ}, because Wiki (identos.wiki) needs it, since event 4 of"
        " 2026-01-01 00:00:04Z.",
    ),
    (
        (*BEGUN, cleared(ALICE), registered(base=("read:me",))),
        f"{ALICE} must consent again at atlassian to read:me read:jira-user, because atlassian itself needs read:me and"
        " Jira-User (identos.jira-user) needs read:me read:jira-user, since event 4 of 2026-01-01 00:00:04Z."
        " The token is gone.",
    ),
    (
        (
            *BEGUN,
            provisioned("wiki", [READ]),
            stored(ALICE, JIRA[:2], generation=2, requested=(*JIRA[:2], READ)),
            stored(ALICE, JIRA[:2], generation=3, requested=(*JIRA[:2], READ)),
        ),
        f"{ALICE} must consent again at atlassian to {READ}, because Wiki (identos.wiki) needs it, since event 6 of"
        f" 2026-01-01 00:00:06Z. Asking did not bring {READ}: it was tried twice.",
    ),
]


def test_a_renewal_that_is_the_first_to_tell_tells_what_came_of_the_login() -> None:
    silent = stored(ALICE, None, requested=JIRA)
    told = stored(ALICE, ["read:me"], generation=2, cause="refresh")
    again = stored(ALICE, ["read:me"], generation=3, cause="refresh")
    story = tell(ALICE, "atlassian", log_of(registered(), provisioned("jira-user", JIRA), silent, told, again))
    in_vain = " So the login at event 3 asked in vain for read:jira-user read:jira-work write:jira-work."
    assert (True, False) == tuple(line.says.endswith(in_vain) for line in story.lines[-2:])


@pytest.mark.parametrize(("events", "expected"), ENDS)
def test_it_ends_with_what_is_so_now(events: tuple[Event, ...], expected: str) -> None:
    assert expected == tell(ALICE, "atlassian", log_of(*events)).present.says


def test_the_story_goes_on_over_a_removal() -> None:
    begun = (registered(), provisioned("jira-user", JIRA), stored(USERS[0], ["read:me"]))
    story = tell(USERS[0], "atlassian", log_of(*begun, removed(), registered()))
    assert ["idp-removed", "idp-registered"] == [line.event for line in story.lines[-2:]]
    assert story.lines[-2].says.startswith("An operator removed atlassian: nothing is needed there")
    assert story.lines[-1].says.startswith("atlassian was registered as atlassian"), "not again: it begins anew"
    assert ("none", True) == (story.present.status, "was removed" in story.present.says)
    back = tell(USERS[0], "atlassian", log_of(*begun, removed(), registered(), stored(USERS[0], JIRA, generation=2)))
    assert "The user logged in" in back.lines[-1].says


@given(logs(max_length=120))
def test_every_line_is_an_event_and_the_end_is_that_of_the_folds(log: list[Recorded]) -> None:
    by_seq, state = {one.seq: one for one in log}, replay(log)
    for idp in IDPS:
        for user in USERS[:2]:
            story = tell(user, idp, log)
            for line in story.lines:
                one = by_seq[line.seq]
                assert (one.at, one.event_id) == (line.at, line.event_id)
                assert getattr(one.event, "user", user) == user
                assert line.says
                assert (line.times == 1) == (line.until is None)
            held = state.grants.get((idp, user))
            known = state.scopes.idp(idp)
            here = held if held is not None and held.present else None
            status = judge(known, here.grant).status if here is not None else "none"
            assert status == story.present.status


@given(logs(max_length=120))
def test_what_concerns_other_users_changes_nothing(log: list[Recorded]) -> None:
    few = [one for one in log if type(one.event) in OF_IDPS or getattr(one.event, "user", None) == USERS[0]]
    assert tell(USERS[0], "atlassian", log) == tell(USERS[0], "atlassian", few)


def test_every_line_tells_its_place() -> None:
    (line,) = tell(ALICE, "atlassian", [at_place(7, registered(), "018f3c5e")]).lines
    assert (7, "018f3c5e", "idp-registered") == (line.seq, line.event_id, line.event)
