"""The bulk fold says what the fold one by one says, whatever the log holds and wherever it is cut."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bulk import Log, disagreements, hard_log, hard_logs


@given(hard_logs(90), st.lists(st.integers(0, 90), max_size=6), st.sampled_from([1, 2, 4]), st.sampled_from([0, 2, 64]))
def test_both_folds_say_the_same_at_every_cut(log: Log, cuts: list[int], slots: int, many_rounds: int) -> None:
    assert disagreements(log, cuts, slots=slots, many_rounds=many_rounds) == []


@given(hard_logs(90), st.lists(st.integers(0, 90), max_size=3))
def test_tables_that_explain_nothing_are_folded_alike(log: Log, cuts: list[int]) -> None:
    assert disagreements(log, cuts, bare=True) == []


@given(hard_logs(90), st.lists(st.integers(0, 90), max_size=3))
def test_a_fold_that_was_kept_goes_on_alike(log: Log, cuts: list[int]) -> None:
    assert disagreements(log, cuts, slots=2, keeping=True) == []


@pytest.mark.parametrize("seed", range(3))
def test_both_folds_say_the_same_of_a_long_log(seed: int) -> None:
    random = Random(seed)
    log = hard_log(random, 3000)
    assert disagreements(log, [random.randint(0, 3000) for _ in range(3)]) == []
