"""Who wants which scope of a union, since when, and what pruning takes out of it."""

from hypothesis import given

from scopefold.consent.attribution import asks, attributed, unwanted
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import replay
from scopefold.consent.tables import unions
from scopefold.contracts.events import Event
from scopefold.contracts.recorded import Recorded
from tests.support.logs import (
    at_place,
    deprovisioned,
    failed,
    log_of,
    logs,
    provisioned,
    pruned,
    registered,
    restored,
    withheld,
)

READ, WRITE = "read:jira-work", "write:jira-work"
ISSUES = ("read:issue:jira", "read:project:jira")


def after(*events: Event) -> Idp:
    return replay(log_of(*events)).scopes.idps["atlassian"]


def wanted_by(idp: Idp) -> dict[str, list[tuple[str | None, str, int]]]:
    return {
        one.scope: [(want.connector, want.how, want.cause.seq) for want in one.wanted_by] for one in attributed(idp)
    }


def came(idp: Idp) -> dict[str, tuple[str | None, int, int | None]]:
    """By scope: for whom it came, with which event, and since which event nobody wants it."""
    return {
        scope: (one.connector, one.cause.seq, one.unwanted_since.seq if one.unwanted_since else None)
        for scope, one in idp.origins.items()
    }


def test_every_scope_tells_who_wants_it_and_since_which_event() -> None:
    idp = after(
        registered(base=("email",)),
        provisioned("jira-user", (READ, WRITE)),
        provisioned("search", (READ,), alternatives=[ISSUES]),
        provisioned("wiki", ISSUES[:1]),
    )
    jira, search, wiki = "identos.jira-user", "identos.search", "identos.wiki"
    assert {
        "email": [(None, "base", 1)],
        READ: [(jira, "needs", 2), (search, "any-of", 3)],
        WRITE: [(jira, "needs", 2)],
        ISSUES[0]: [(search, "any-of", 3), (wiki, "needs", 4)],
    } == wanted_by(idp)
    assert {
        "email": (None, 1, None),
        READ: (jira, 2, None),
        WRITE: (jira, 2, None),
        ISSUES[0]: (wiki, 4, None),
    } == came(idp)


def test_a_scope_is_unwanted_since_the_event_with_which_the_last_ceased_to_want_it() -> None:
    events = (
        registered(base=()),
        provisioned("jira-user", (READ, WRITE)),
        provisioned("search", (READ,)),
        provisioned("jira-user", ISSUES, version="2.0.0"),
        deprovisioned("search"),
    )
    idp = after(*events)
    assert ("identos.jira-user", 2, 4) == came(idp)[WRITE]
    assert ("identos.jira-user", 2, 5) == came(idp)[READ]
    assert (READ, WRITE) == unwanted(idp)
    assert ("identos.jira-user", 2, None) == came(after(*events, provisioned("wiki", (READ,))))[READ]


def test_base_scopes_that_a_registration_leaves_out_are_wanted_no_more() -> None:
    idp = after(registered(base=("email", "profile")), registered(base=("email",)))
    assert ("profile",) == unwanted(idp)


def test_a_connector_that_moves_to_another_idp_leaves_its_scopes_behind_unwanted() -> None:
    idp = after(
        registered(base=()), provisioned("jira-user", (READ,)), provisioned("jira-user", (READ,), "atlassian-eu")
    )
    assert {READ: ("identos.jira-user", 2, 3)} == came(idp)


def test_another_spelling_wants_it_too() -> None:
    """At GitHub `public_repo` is one; at Microsoft a scope with and without its host is one scope."""
    long, short = "https://graph.microsoft.com/Mail.Read", "Mail.Read"
    log = log_of(
        registered("ms", "microsoft", ()),
        provisioned("mail", (long,), "ms"),
        provisioned("search", (short,), "ms"),
        deprovisioned("mail", "ms"),
        pruned(long, idp="ms"),
    )
    idp = replay(log).scopes.idps["ms"]
    assert ((long, short), ()) == (idp.union, unwanted(idp))


def test_pruning_takes_out_what_nobody_wants_under_every_spelling_and_keeps_the_rest() -> None:
    long, short = "https://graph.microsoft.com/Mail.Read", "Mail.Read"
    events = (
        registered("ms", "microsoft", ("openid",)),
        provisioned("mail", (long, "Mail.Send"), "ms"),
        provisioned("search", (short,), "ms"),
        provisioned("mail", ("Mail.Send",), "ms"),
        deprovisioned("search", "ms"),
        pruned("mail.read", "Mail.Send", "openid", idp="ms"),
    )
    assert ("openid", "Mail.Send") == replay(log_of(*events)).scopes.idps["ms"].union


def test_a_list_that_would_serve_instead_is_not_pruned() -> None:
    idp = after(
        registered(base=()),
        provisioned("wiki", ISSUES),
        provisioned("jira-user", (READ,), alternatives=[ISSUES]),
        deprovisioned("wiki"),
        pruned(*ISSUES),
    )
    assert (*ISSUES, READ) == idp.union


def test_what_is_pruned_is_neither_withheld_nor_on_trial_and_comes_back_with_whoever_needs_it() -> None:
    events = (
        registered(base=()),
        provisioned("jira-user", (READ,)),
        withheld(READ),
        failed("attempt-001", (READ,)),
        deprovisioned("jira-user"),
        pruned(READ),
    )
    idp = after(*events)
    assert ((), (), (), {}) == (idp.union, idp.withheld, idp.trials, idp.origins)
    again = after(*events, provisioned("wiki", (WRITE, READ)))
    assert ((WRITE, READ), (), [7]) == (again.union, again.withheld, [one.cause.seq for one in again.trials])
    assert {READ: ("identos.wiki", 7, None), WRITE: ("identos.wiki", 7, None)} == came(again)


def test_a_trial_goes_on_with_what_is_left_of_it() -> None:
    idp = after(
        registered(base=()),
        provisioned("jira-user", (READ, WRITE)),
        provisioned("jira-user", (READ,)),
        restored(READ),
        pruned(WRITE),
    )
    assert [(READ,)] == [one.scopes for one in idp.trials]


def test_pruning_at_an_idp_that_nobody_knows_changes_nothing() -> None:
    assert {} == replay(log_of(pruned(READ))).scopes.idps


def test_pruning_twice_is_pruning_once() -> None:
    log = log_of(registered(base=()), provisioned("wiki", (READ,)), deprovisioned("wiki"), pruned(READ))
    assert replay(log) == replay([*log, at_place(5, pruned(READ))])


def test_who_asks_for_what_names_what_nobody_asks_for_any_more() -> None:
    idp = after(registered(base=("email",)), provisioned("jira-user", (READ, WRITE)), provisioned("jira-user", (READ,)))
    told = {
        "identos.jira-user": (READ,),
        "the base scopes of atlassian": ("email",),
        "what was provisioned before at atlassian": (WRITE,),
    }
    assert told == asks(idp)
    assert (*told.values(),) == (*asks(idp, {"identos.jira-user": (READ,)}).values(),)


@given(logs())
def test_sql_says_who_wants_each_scope_and_what_nobody_wants_as_everybody_else_does(log: list[Recorded]) -> None:
    state = replay(log)
    for idp in state.scopes.idps.values():
        lines = {line.scope: line for line in unions(state) if line.idp == idp.idp}
        assert list(unwanted(idp)) == [line.scope for line in lines.values() if line.since_seq is None]
        for one in attributed(idp):
            wanting = {want.connector for want in one.wanted_by if want.connector is not None}
            assert sorted(wanting) == list(lines[one.scope].connectors)
