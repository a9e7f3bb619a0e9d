"""Two spellings of a scope are one scope: needed once, counted once, dated once, whoever spells it how."""

from collections.abc import Sequence

from scopefold.consent.difference import difference
from scopefold.consent.reasons import reasons_in
from scopefold.consent.reconsent import Row, replay, worklist
from scopefold.consent.requirements import requirements
from scopefold.contracts.events import Event
from tests.support.logs import insufficient, log_of, provisioned, registered, stored

ALICE, BOB = "u_alice001", "u_bob00001"
SHORT, LONG = "Mail.Read", "https://graph.microsoft.com/mail.read"
HERE = registered("graph", "microsoft", ())


def rows(*events: Event) -> list[Row]:
    return list(worklist(replay(log_of(*events))))


def needing(name: str, scopes: Sequence[str], version: str = "1.0.0") -> Event:
    return provisioned(name, scopes, "graph", version)


def test_a_scope_that_two_connectors_spell_differently_is_missing_once_and_because_of_both() -> None:
    events = (HERE, needing("mail", [SHORT]), needing("search", [LONG]), stored(ALICE, ["User.Read"], idp="graph"))
    (row,) = rows(*events)
    ((scope, because),) = [(lack.scope, lack.because) for lack in row.missing]
    assert (SHORT, ["identos.mail", "identos.search"]) == (scope, [one.connector for one in because])


def test_for_one_connector_alone_it_is_spelled_as_that_one_does() -> None:
    idp = replay(log_of(HERE, needing("mail", [SHORT]), needing("search", [LONG]))).scopes.idps["graph"]
    assert [LONG] == list(requirements(idp, "urn:connector:identos:search").scopes)


def test_a_need_that_is_spelled_otherwise_is_not_dated_anew_and_no_event_moved_it() -> None:
    events = (HERE, needing("mail", [SHORT]), stored(ALICE, [], idp="graph"), needing("mail", [LONG], "2.0.0"))
    (row,) = rows(*events)
    ((because,),) = (lack.because for lack in row.missing)
    assert (LONG, 2, "1.0.0") == (row.missing[0].scope, because.cause.seq, because.version)
    log = log_of(*events)
    (idp,) = difference(replay(log[:3]), replay(log), log[3:]).idps
    assert ((), ()) == (idp.needed, idp.unneeded)


def test_a_report_counts_since_it_came_however_it_spells_the_scope_and_once() -> None:
    tokens = [stored(one, [SHORT], idp="graph") for one in (ALICE, BOB)]
    again = insufficient(ALICE, SHORT, name="mail", idp="graph")
    (row,) = rows(HERE, needing("mail", [SHORT]), *tokens, insufficient(ALICE, LONG, name="mail", idp="graph"), again)
    assert (ALICE, 5) == (row.user, row.since.seq)
    assert [((SHORT,), 5)] == [(one.missing, one.cause.seq) for one in row.reports]


def test_what_was_never_granted_is_disproved_by_no_report() -> None:
    """A gateway that meets a token without what was never asked for says nothing against the IdP's word."""
    events = (HERE, stored(ALICE, [], idp="graph"), needing("mail", [SHORT]), insufficient(ALICE, SHORT, idp="graph"))
    state = replay(log_of(*events))
    (row,) = worklist(state)
    assert ("echoed", {SHORT: "never-asked"}) == (row.known_by, reasons_in(state).of(row))


def test_a_list_of_which_another_spelling_is_asked_for_is_asked_for() -> None:
    """It is what the next login brings, whoever's spelling that takes."""
    either = provisioned("files", ["Files.Read", "Files.ReadWrite"], "graph", alternatives=[[SHORT, "Calendars.Read"]])
    (row,) = rows(
        HERE, either, needing("mail", [LONG, "Calendars.Read"]), stored(ALICE, ["Calendars.Read"], idp="graph")
    )
    told = [(lack.scope, [one.connector for one in lack.because]) for lack in row.missing]
    assert [(LONG, ["identos.mail", "identos.files"])] == told


def test_a_list_that_spells_a_scope_twice_lacks_it_once() -> None:
    """So it is told once because of its connector, and no list that lacks more is taken for the shorter one."""
    doubled = provisioned("mail", [SHORT, LONG], "graph", alternatives=[["Files.Read", "Files.ReadWrite"]])
    (row,) = rows(HERE, doubled, needing("files", ["Files.Read"]), stored(ALICE, [], idp="graph"))
    told = {lack.scope: [one.connector for one in lack.because] for lack in row.missing}
    assert {SHORT: ["identos.mail"], "Files.Read": ["identos.files"]} == told
