"""What is asked about, and of whom it is not known whether they lack it."""

import pytest

from scopefold.consent.chosen import Filters, unclear, wanted
from scopefold.consent.reconsent import judge, replay
from tests.support.logs import insufficient, log_of, provisioned, registered, stored

ALICE = "u_alice001"
MAIL, CALENDAR = "Mail.Read", "Calendars.Read"


@pytest.mark.parametrize(
    ("asked", "on_the_list", "not_known"),
    [
        ({}, True, False),
        ({"scope": MAIL}, True, False),
        ({"scope": CALENDAR}, False, True),
        ({"connector": "identos.mail"}, True, False),
        ({"connector": "identos.calendar"}, False, True),
        ({"connector": "identos.calendar", "scope": MAIL}, False, False),
        ({"connector": "identos.mail", "scope": CALENDAR}, False, False),
        ({"scope": "offline_access"}, False, False),
        ({"connector": "identos.either"}, False, True),
        ({"connector": "identos.either", "scope": "Files.Read"}, False, True),
        ({"connector": "identos.either", "scope": CALENDAR}, False, False),
        ({"idp": "elsewhere"}, False, False),
    ],
)
def test_of_a_grant_of_which_little_is_known_each_part_is_told_by_itself(
    asked: dict[str, str], on_the_list: bool, not_known: bool
) -> None:
    """A call has disproved one scope, a refresh token proves another, and of the rest nothing is known."""
    state = replay(
        log_of(
            registered("ms", "microsoft", ["offline_access"]),
            *(provisioned("mail", [MAIL], "ms"), provisioned("calendar", [CALENDAR], "ms")),
            provisioned("either", ["Files.Read"], "ms", alternatives=[["Files.ReadWrite"]]),
            stored(ALICE, None, idp="ms"),
            insufficient(ALICE, MAIL, idp="ms"),
        )
    )
    idp, grant, filters = state.scopes.idp("ms"), state.grants["ms", ALICE].grant, Filters(**asked)
    judgement = judge(idp, grant)
    assert (on_the_list, not_known) == (
        wanted(idp, judgement, filters),
        unclear(idp, grant, judgement, filters),
    )
