"""What is told beforehand is what happens."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from scopefold.consent import reconsent
from scopefold.consent.attribution import unwanted
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import grant_key, judge, replay, worklist
from scopefold.consent.requirements import requirements
from scopefold.consent.whatif import Counts, Holding, Hypothetical, WhatIf, what_if
from scopefold.contracts.events import ConnectorProvisioned, Event
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.coverage import carries
from tests.support.logs import (
    BASE,
    IDPS,
    NAMES,
    REFRESH_TOKEN,
    SCOPES,
    at_place,
    deprovisioned,
    log_of,
    logged_in,
    logs,
    provisioned,
    pruned,
    registered,
    stored,
)

ALICE, BOB, CAROL = "u_alice001", "u_bob00001", "u_carol001"
CLASSIC = ("read:jira-work",)
GRANULAR = ("read:issue:jira", "read:project:jira")


def holdings(state: reconsent.State, idp: str) -> list[Holding]:
    """The grant sets of an IdP."""
    users = Counter(held.grant for held in state.present() if held.idp == idp)
    at_idp = state.scopes.idp(idp)
    return [Holding(grant_key(grant), grant, number, judge(at_idp, grant)) for grant, number in users.items()]


def foretold(log: list[Recorded], event: Hypothetical) -> tuple[WhatIf, list[Recorded]]:
    """What is told of an event, and the log with it."""
    state, recorded = replay(log), at_place(len(log) + 1, event)
    return what_if(state.scopes, holdings(state, event.idp), recorded), [*log, recorded]


def users_in(found: WhatIf, state: reconsent.State, *changes: str) -> set[str]:
    """The users whose grant sets are told to change so."""
    keys = {one.holding.key for one in found.verdicts if one.change in changes}
    of_idp = [held for held in state.present() if held.idp == found.after.idp]
    return {held.user for held in of_idp if grant_key(held.grant) in keys}


def hypothetical(random: Random) -> Hypothetical:
    idp, name = random.choice(list(IDPS)), random.choice(NAMES)
    some = tuple(random.sample(SCOPES, random.randint(1, 6)))
    others = random.choice([(), (), (some[:1],), (SCOPES[:2], SCOPES[5:8])])
    events: list[Hypothetical] = [provisioned(name, some, idp, alternatives=others), deprovisioned(name, idp)]
    return random.choice([*events, pruned(*some, idp=idp)])


def listed(state: reconsent.State, idp: str) -> dict[str, set[str]]:
    return {row.user: {lack.scope for lack in row.missing} for row in worklist(state) if row.idp == idp}


@given(logs(), st.builds(hypothetical, st.randoms(use_true_random=False)))
def test_what_is_told_beforehand_is_what_happens(log: list[Recorded], event: Hypothetical) -> None:
    found, real = foretold(log, event)
    before, after = replay(log), replay(real)
    was, will = listed(before, event.idp), listed(after, event.idp)
    assert found.before == before.scopes.idp(event.idp)
    idp = after.scopes.idp(event.idp)
    assert found.after == idp
    assert {*found.before.union, *found.added} - {*found.removed} == {*idp.union}
    assert {*unwanted(found.before), *found.released} >= {*unwanted(idp)}
    held = [one.grant for one in after.present() if one.idp == event.idp]
    assert found.counts == Counts(
        users=len(held),
        must_consent=len(will),
        newly=len(will.keys() - was.keys()),
        more=len([user for user in will if user in was and will[user] - was[user]]),
        no_longer=len(was.keys() - will.keys()),
        unknown=len([grant for grant in held if judge(idp, grant).status == "unknown"]),
        serves=len([grant for grant in held if serves(idp, event, grant_key(grant), found)]),
    )
    assert found.holders == {
        scope: len([grant for grant in held if carries(found.before.profile, grant, scope)])
        for scope in (*found.added, *found.removed, *found.released)
    }
    assert users_in(found, after, "newly") == will.keys() - was.keys()
    assert users_in(found, after, "no-longer") == was.keys() - will.keys()
    asked = {user: told for user in will if (told := will[user] - was.get(user, set()))}
    assert users_in(found, after, "newly", "more") == asked.keys()


def serves(idp: Idp, event: Hypothetical, key: str, found: WhatIf) -> bool:
    """Judged alone, has this grant all that the connector needs?"""
    if not isinstance(event, ConnectorProvisioned):
        return False
    grant = next(one.holding.grant for one in found.verdicts if one.holding.key == key)
    return judge(idp, grant, requirements(idp, event.resource_type)).status == "covered"


BASE_ONLY = stored(CAROL, BASE)
HISTORY: tuple[Event, ...] = (
    registered(),
    provisioned("jira-user", CLASSIC),
    stored(ALICE, (*BASE, *CLASSIC)),
    stored(BOB, (*BASE, *CLASSIC, *GRANULAR)),
    logged_in(CAROL),
    BASE_ONLY,
)


class Told(Struct, frozen=True):
    """Scopes that join the union, and that nobody wants any more; who is asked newly, for more, no longer."""

    added: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    newly: frozenset[str] = frozenset()
    more: frozenset[str] = frozenset()
    no_longer: frozenset[str] = frozenset()
    serves: int = 0


A, C = frozenset({ALICE}), frozenset({CAROL})


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (provisioned("jira-user", GRANULAR, version="2"), Told(GRANULAR, CLASSIC, newly=A, more=C, serves=1)),
        (provisioned("jira-user", CLASSIC, alternatives=[GRANULAR]), Told(serves=2)),
        (provisioned("jira-user", GRANULAR, alternatives=[CLASSIC]), Told(GRANULAR, serves=2)),
        (provisioned("search", GRANULAR[:1]), Told(GRANULAR[:1], newly=A, more=C, serves=1)),
        (provisioned("search", CLASSIC), Told(serves=2)),
        (deprovisioned("jira-user"), Told(released=CLASSIC, no_longer=C)),
        (deprovisioned("search"), Told()),
        (pruned(*CLASSIC), Told()),
    ],
    ids=["trade", "any-of", "any-of-trade", "another", "nothing-new", "leaves", "not-there", "wanted"],
)
def test_a_preview_tells_the_trade(event: Hypothetical, told: Told) -> None:
    found, real = foretold(log_of(*HISTORY), event)
    state = replay(real)
    assert () == found.removed
    assert told == Told(
        added=found.added,
        released=found.released,
        newly=frozenset(users_in(found, state, "newly")),
        more=frozenset(users_in(found, state, "more")),
        no_longer=frozenset(users_in(found, state, "no-longer")),
        serves=found.counts.serves,
    )


def test_after_the_trade_the_old_scopes_can_be_pruned_and_nobody_is_asked_for_it() -> None:
    traded = log_of(*HISTORY, provisioned("jira-user", GRANULAR, version="2.0.0"))
    found, real = foretold(traded, pruned(*CLASSIC))
    assert ((), CLASSIC, ()) == (found.added, found.removed, found.released)
    assert {"same"} == {one.change for one in found.verdicts}
    assert (*BASE, *GRANULAR) == replay(real).scopes.idps["atlassian"].union


def test_whoever_has_a_scope_is_counted_under_every_spelling() -> None:
    log = log_of(registered("ms", "microsoft", ()), stored(ALICE, ("https://graph.microsoft.com/Mail.Read",), idp="ms"))
    found, _ = foretold(log, provisioned("mail", ("mail.read", "Mail.Send"), "ms"))
    assert ({"mail.read": 1, "Mail.Send": 0}, ("Mail.Send",)) == (
        found.holders,
        tuple(lack.scope for lack in found.verdicts[0].asked),
    )


def test_a_preview_of_no_such_event_is_none() -> None:
    with pytest.raises(TypeError, match="TokenStored"):
        what_if(replay(log_of(*HISTORY)).scopes, [], at_place(9, stored(ALICE, BASE, evidence=REFRESH_TOKEN)))
