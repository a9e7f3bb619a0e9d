"""Laws of the folds, over generated logs: what holds whatever was written."""

import os
import subprocess
import sys
from pathlib import Path
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent import idp_scopes, reconsent
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import EMPTY, fold, replay, worklist
from scopefold.contracts.events import ConnectorProvisioned, IdpRegistered, IdpRemoved, ScopesPruned, TokenStored
from scopefold.contracts.recorded import Recorded
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.coverage import AnyOf, Grant, Missing, all_of, canonical_grant, covers
from scopefold.scopes.union import to_request
from tests.support.logs import BASE, IDPS, at_place, canonical_dump, logs, random_log, registered, removed

ROOT = Path(__file__).parents[2]


def asked_for(recorded: Recorded) -> tuple[str, tuple[str, ...]]:
    """The IdP and the scopes that an event adds to what the IdP is asked for."""
    match recorded.event:
        case IdpRegistered() as event:
            return event.idp, event.base_scopes
        case ConnectorProvisioned() as event:
            return event.idp, event.upstream_scopes  # of the alternatives none is asked for
    return recorded.event.idp, ()


@given(logs(), st.integers(0, 60))
def test_folding_one_by_one_at_once_and_in_two_parts_is_the_same(log: list[Recorded], cut: int) -> None:
    one_by_one = EMPTY
    for recorded in log:
        one_by_one = fold(one_by_one, recorded)
    at_once = replay(log)
    assert at_once == one_by_one
    assert at_once == replay(log[cut:], replay(log[:cut]))
    assert canonical_dump(at_once) == canonical_dump(one_by_one)


def kept_and_loaded(state: reconsent.State) -> reconsent.State:
    """The state as a projection keeps it: mappings lose the order in which they were filled."""
    idps = {
        name: msgspec.json.decode(msgspec.json.encode(state.scopes.idps[name], order="deterministic"), type=Idp)
        for name in sorted(state.scopes.idps)
    }
    return reconsent.State(idp_scopes.State(idps), dict(sorted(state.grants.items())))


@given(logs(), st.integers(0, 60))
def test_a_state_that_was_kept_and_loaded_in_the_middle_goes_on_alike(log: list[Recorded], cut: int) -> None:
    loaded = replay(log[cut:], kept_and_loaded(replay(log[:cut])))
    assert canonical_dump(replay(log)) == canonical_dump(loaded)


@given(logs())
def test_a_union_only_grows_but_by_pruning_till_it_is_removed_and_every_scope_in_it_is_due_to_an_event(
    log: list[Recorded],
) -> None:
    state = idp_scopes.EMPTY
    due: dict[str, set[str]] = {}
    for recorded in log:
        before, state = state, idp_scopes.fold(state, recorded)
        name, added = asked_for(recorded)
        due.setdefault(name, set()).update(added)
        if isinstance(recorded.event, IdpRemoved):
            assert name not in state.idps
            due[name] = set()
        for idp in before.idps.values():
            if (after := state.idps.get(idp.idp)) is None:
                assert isinstance(recorded.event, IdpRemoved)
                assert idp.idp == name
                continue
            if isinstance(recorded.event, ScopesPruned) and idp.idp == name:
                gone = set(idp.union) - set(after.union)
                assert gone <= {one for one in idp.union if canonical_name(idp.profile, one) not in idp.wants}
                assert after.union == tuple(scope for scope in idp.union if scope not in gone)
                due[name] -= gone
            else:
                assert idp.union == after.union[: len(idp.union)]
        for idp in state.idps.values():
            assert due[idp.idp] == set(idp.union)


@given(logs())
def test_every_scope_of_a_union_has_its_origin_and_is_wanted_or_unwanted_since_an_event(log: list[Recorded]) -> None:
    at = {recorded.seq: recorded for recorded in log}
    for idp in replay(log).scopes.idps.values():
        assert list(idp.origins) == list(idp.union)
        for scope, origin in idp.origins.items():
            assert (idp.idp, True) == (asked_for(at[origin.cause.seq])[0], scope in asked_for(at[origin.cause.seq])[1])
            assert (canonical_name(idp.profile, scope) in idp.wants) == (origin.unwanted_since is None)


@given(logs(), st.data())
def test_no_grant_is_worth_less_after_pruning(log: list[Recorded], data: st.DataObject) -> None:
    state = replay(log)
    for idp in state.scopes.idps.values():
        if idp.union:
            some = data.draw(st.lists(st.sampled_from(idp.union), min_size=1))
            pruned = fold(state, at_place(len(log) + 1, ScopesPruned(idp=idp.idp, scopes=tuple(some), by="operator")))
            assert list(worklist(state)) == list(worklist(pruned))


@given(logs(), st.sampled_from(list(IDPS)))
def test_of_a_removed_idp_nothing_is_left_and_nobody_is_on_its_worklist(log: list[Recorded], name: str) -> None:
    before = replay(log)
    after = fold(before, at_place(len(log) + 1, removed(name)))
    others = {idp: one for idp, one in before.scopes.idps.items() if idp != name}
    assert others == after.scopes.idps
    assert [row for row in worklist(before) if row.idp != name] == list(worklist(after))
    assert [] == [held for held in after.present() if held.idp == name]
    again = fold(after, at_place(len(log) + 2, registered(name, IDPS[name])))
    assert (BASE, {}) == (again.scopes.idps[name].union, again.scopes.idps[name].connectors)
    assert list(worklist(after)) == list(worklist(again)), "nobody has to consent again who has granted nothing since"


@given(logs())
def test_a_resource_type_is_routed_to_one_idp(log: list[Recorded]) -> None:
    state = replay(log).scopes
    served = [kind for idp in state.idps.values() for kind in idp.connectors]
    assert len(served) == len(set(served))
    assert set(served) == set(state.routes)


@given(logs())
def test_judging_by_grant_set_is_judging_every_user_against_everything_at_once(log: list[Recorded]) -> None:
    """The other way to judge: every requirement multiplied out into one any-of(all-of ...)."""
    state = replay(log)
    expected = set()
    for (name, user), held in state.grants.items():
        if not held.present:
            continue
        idp = state.scopes.idp(name)
        base = idp.registration.event.base_scopes if idp.registration else ()
        needed = [AnyOf((one.upstream_scopes, *one.alternatives)) for one in idp.connectors.values()]
        coverage = covers(idp.profile, held.grant, all_of([base, *needed]))
        assert reconsent.judge(idp, held.grant).status == type(coverage).__name__.lower()
        if isinstance(coverage, Missing):
            expected.add((name, user))
    rows = list(worklist(state))
    assert expected == {(row.idp, row.user) for row in rows}
    assert len(expected) == len(rows)


@given(logs())
def test_whoever_lacks_something_lacks_nothing_after_consenting_to_all_that_is_asked(log: list[Recorded]) -> None:
    """What the worklist names is what the next login asks for, whichever of several lists would serve."""
    for row in worklist(replay(log)):
        idp = replay(log).scopes.idps[row.idp]
        asked = Grant(to_request(idp.profile, idp.union), ("identity", "refresh_token"))
        assert reconsent.judge(idp, asked).status == "covered"
        assert all(lack.scope in idp.union for lack in row.missing)


@given(logs())
def test_every_lack_is_due_to_an_event_that_asks_for_it(log: list[Recorded]) -> None:
    at = {recorded.seq: recorded for recorded in log}
    for row in worklist(replay(log)):
        assert row.stored.seq <= row.since.seq
        assert at[row.since.seq].cause == row.since
        for lack in row.missing:
            assert lack.because
            for because in lack.because:
                idp, scopes = asked_for(at[because.cause.seq])
                serving = getattr(at[because.cause.seq].event, "alternatives", ())
                assert row.idp == idp
                assert lack.scope in {*scopes, *(scope for clause in serving for scope in clause)}


@given(logs())
def test_a_stored_token_said_again_changes_nothing(log: list[Recorded]) -> None:
    """But that it may acquit a suspect: generated logs ask for scopes before anybody needs them."""
    state = replay(log)
    for recorded in log:
        if isinstance(recorded.event, TokenStored):
            again = at_place(len(log) + 1, recorded.event, recorded.event_id)
            assert canonical_dump(without_trials(state)) == canonical_dump(without_trials(fold(state, again)))


def without_trials(state: reconsent.State) -> reconsent.State:
    idps = {name: replace(idp, trials=()) for name, idp in state.scopes.idps.items()}
    return reconsent.State(idp_scopes.State(idps), state.grants)


def of_its_first_profile(one: Recorded, first: dict[str, str]) -> Recorded:
    """An IdP's registration as if it had been of the profile of the first one; every other event as it is."""
    if not isinstance(one.event, IdpRegistered):
        return one
    profile = first.setdefault(one.event.idp, one.event.profile)
    return replace(one, event=replace(one.event, profile=profile))


@given(logs())
def test_every_grant_is_kept_in_the_form_by_which_users_are_counted(log: list[Recorded]) -> None:
    """The IdP's profile may be registered after the grant, or never, or be another one later: only then may the form
    differ.
    """
    first: dict[str, str] = {}
    log = [of_its_first_profile(one, first) for one in log]
    state = replay(log)
    profiles_known_from_the_start = replay([one for one in log if isinstance(one.event, IdpRegistered)])
    settled = replay(log, profiles_known_from_the_start)
    for (name, _), held in settled.grants.items():
        idp = settled.scopes.idp(name)
        assert held.grant == canonical_grant(idp.profile, held.grant)
    assert set(state.grants) == set(settled.grants)


DUMP = (
    "import sys; from random import Random; from tests.support.logs import canonical_dump, random_log;"
    "from scopefold.consent.reconsent import replay;"
    "sys.stdout.buffer.write(canonical_dump(replay(random_log(Random(20260115), 2000))))"
)


def dump_under(hash_seed: str) -> bytes:
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", DUMP], cwd=ROOT, env=environ, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_two_processes_with_other_hash_seeds_fold_the_same_bytes() -> None:
    first = dump_under("1")
    assert len(first) > 10_000
    assert first == dump_under("2")


@pytest.mark.parametrize("seed", range(3))
def test_generated_logs_do_put_people_on_the_list(seed: int) -> None:
    """Otherwise the laws above would hold of nothing."""
    rows = list(worklist(replay(random_log(Random(seed), 300))))
    assert len(rows) > 3
    assert any(row.reports for row in rows)
