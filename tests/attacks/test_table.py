"""The table of attacks and the tests say the same."""

from tests.attacks.table import ids_in, ids_of_cases, rows, shown_by


def test_every_row_has_an_id_of_its_own_and_says_how_far_it_is_shown() -> None:
    ids = [row.id for row in rows()]
    assert sorted(set(ids)) == ids
    assert [] == [
        row for row in rows() if row.status != "tested" and not row.status.startswith(("in part: ", "not yet: "))
    ]


def test_every_row_that_is_shown_has_its_tests_and_no_test_has_an_id_that_is_none() -> None:
    known = {row.id: row.shown for row in rows()}
    tests = shown_by()
    assert [] == [one for one, shown in known.items() if shown and one not in tests], "no test carries this id"
    assert [] == [tests[one] for one in tests if one not in known], "this id is not in the table"
    assert [] == [one for one in tests if not known.get(one, True)], "tested, but the table says: not yet"


def test_every_case_of_a_test_is_a_row_that_tests_carry_in_their_names() -> None:
    tests = shown_by()
    assert {} == {one: files for one, files in ids_of_cases().items() if one not in tests}


def test_an_id_is_a_word_of_its_own() -> None:
    assert {"A01", "B26"} == ids_in("test_A01_B26_what_RFC8707_and_ES256_or_A012_or_xA03_say_A4")
