"""Laws that hold at every provider for its own scopes, for requirements of several clauses, and for requests."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scopefold.scopes.canonical import canonical, canonical_name, closure
from scopefold.scopes.classify import family_of, kind_of
from scopefold.scopes.coverage import AnyOf, Coverage, Covered, Grant, Missing, Unknown, all_of, covers
from scopefold.scopes.grammar import check_scope, list_of, parse, told_scopes
from scopefold.scopes.lint import lint
from scopefold.scopes.partition import part_of, partition, token_requests
from scopefold.scopes.profile import Profile, ScopeList
from scopefold.scopes.shipped import profiles
from scopefold.scopes.union import request_parameters, to_request, union
from scopefold.scopes.update import consented_after, refreshed, step_up

Scopes = tuple[str, ...]
EVIDENCE = st.lists(st.sampled_from(["identity", "refresh_token"]), max_size=2).map(tuple)


@st.composite
def scopes_at_a_provider(draw: st.DrawFn, lists: int = 1) -> tuple[Profile, list[Scopes]]:
    """A provider and some lists of its scopes, in any spelling that it takes, with a few of nobody's."""
    profile = draw(st.sampled_from(list(profiles().values())))
    known = [*profile.named_scopes, "unheard-of", "made:up", *sorted(profile.directives)]
    scope = st.sampled_from(known)
    if profile.ignores_case:
        scope = st.one_of(scope, scope.map(str.upper), scope.map(str.lower))
    if profile.resources is not None:
        scope = st.one_of(scope, scope.map(lambda s: s if "/" in s else profile.resources.default + s))  # type: ignore[union-attr]
    one_list = st.lists(scope, max_size=8).map(tuple)
    return profile, [draw(one_list) for _ in range(lists)]


def coverage_rank(coverage: Coverage) -> int:
    return {Missing: 0, Unknown: 1, Covered: 2}[type(coverage)]


@given(scopes_at_a_provider())
def test_canonical_names_and_closures_are_reached_in_one_step(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (scopes,) = case
    once = canonical(profile, scopes)
    assert once == canonical(profile, once)
    assert closure(profile, scopes) == closure(profile, closure(profile, scopes))
    assert set(once) <= closure(profile, scopes)
    for scope in scopes:
        assert kind_of(profile, scope) == kind_of(profile, canonical_name(profile, scope))
        assert family_of(profile, scope) == family_of(profile, canonical_name(profile, scope))
        assert part_of(profile, scope) == part_of(profile, canonical_name(profile, scope))


@given(scopes_at_a_provider(2))
def test_the_closure_of_two_lists_is_that_of_each_together(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (one, other) = case
    assert closure(profile, one) | closure(profile, other) == closure(profile, one + other)


@given(scopes_at_a_provider(2), EVIDENCE)
def test_what_is_granted_is_covered_and_more_covers_no_less(
    case: tuple[Profile, list[Scopes]], evidence: Scopes
) -> None:
    profile, (less, more) = case
    assert covers(profile, Grant(less), less) == Covered()
    for required in (less, more, (*less, *more)):
        before = coverage_rank(covers(profile, Grant(less), required))
        assert before <= coverage_rank(covers(profile, Grant(less + more, evidence), required))


@given(scopes_at_a_provider(4), st.booleans(), EVIDENCE)
def test_two_requirements_are_met_together_exactly_when_each_is(
    case: tuple[Profile, list[Scopes]], told: bool, evidence: Scopes
) -> None:
    profile, (granted, one, other, third) = case
    grant = Grant(granted if told else None, evidence)
    plain = [covers(profile, grant, one), covers(profile, grant, other)]
    assert (covers(profile, grant, one + other) == Covered()) is (plain == [Covered(), Covered()])
    first, second = AnyOf((one, other)), AnyOf((third, one))
    apart = [covers(profile, grant, first), covers(profile, grant, second)]
    assert (covers(profile, grant, all_of([first, second])) == Covered()) is (apart == [Covered(), Covered()])


@given(scopes_at_a_provider(4), st.booleans(), EVIDENCE)
def test_any_clause_suffices_and_the_cheapest_is_told(
    case: tuple[Profile, list[Scopes]], told: bool, evidence: Scopes
) -> None:
    profile, (granted, *clauses) = case
    grant = Grant(granted if told else None, evidence)
    each = [covers(profile, grant, clause) for clause in clauses]
    together = covers(profile, grant, AnyOf(tuple(clauses)))
    assert coverage_rank(together) == max(map(coverage_rank, each))
    if isinstance(together, Missing):
        lengths = [len(one.scopes) for one in each if isinstance(one, Missing)]
        assert len(together.scopes) == min(lengths)
        assert together in each
    assert covers(profile, grant, AnyOf((clauses[0],))) == each[0]


@given(scopes_at_a_provider())
def test_a_request_is_in_the_providers_spelling_and_asked_for_once(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (wanted,) = case
    asked = to_request(profile, wanted)
    assert asked == to_request(profile, asked)
    assert set(asked) <= {*wanted, *profile.identity_scopes}
    assert len(asked) == len(canonical(profile, asked))
    assert not [scope for scope in asked if kind_of(profile, scope) == "unsupported"]
    assert covers(profile, Grant(asked), wanted) == Covered()


@given(scopes_at_a_provider())
def test_what_is_written_into_a_request_is_read_back(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (wanted,) = case
    asked = to_request(profile, wanted)
    parameters = request_parameters(profile, asked)
    lists = tuple(ScopeList(one.kind, one.prefix, one.parameter, (one.parameter,)) for one in profile.scope_lists)
    server = msgspec.structs.replace(profile, scope_lists=lists, response_separators=profile.request_separator)
    expected = {scope for scope in asked if list_of(profile, scope).parameter}
    assert expected == set(told_scopes(server, parameters) or ())


@given(scopes_at_a_provider())
def test_a_list_is_told_as_a_text_or_as_an_array_alike(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (scopes,) = case
    plain = msgspec.structs.replace(profile, scope_lists=(ScopeList(),))
    for separator in profile.response_separators:
        assert union(scopes) == parse(profile, separator.join(scopes))
        assert union(scopes) == told_scopes(plain, {"scope": separator.join(scopes)})
    assert union(scopes) == told_scopes(plain, {"scope": list(scopes)})


@given(scopes_at_a_provider())
def test_every_scope_is_carried_by_one_token(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (scopes,) = case
    parts = partition(profile, scopes)
    assert sorted(union(scopes)) == sorted(scope for part in parts.values() for scope in part)
    requests = token_requests(profile, scopes)
    assert sorted(union(scopes)) == sorted(scope for request in requests for scope in request)
    if profile.resources is not None:
        assert all(len(partition(profile, request).keys() - {""}) <= 1 for request in requests)


@given(scopes_at_a_provider(2))
def test_after_a_step_up_everything_needed_is_granted(case: tuple[Profile, list[Scopes]]) -> None:
    """That is what decides how much a step-up must ask for."""
    profile, (before, needed) = case
    if profile.grant_update == "fixed":
        return
    coverage = covers(profile, Grant(before), needed)
    missing = coverage.scopes if isinstance(coverage, Missing) else ()
    after = consented_after(profile, before, step_up(profile, needed, missing))
    assert covers(profile, Grant(tuple(after)), needed) == Covered()


@given(scopes_at_a_provider(2), EVIDENCE)
def test_a_refresh_never_widens_a_grant(case: tuple[Profile, list[Scopes]], evidence: Scopes) -> None:
    profile, (before, answer) = case
    after = refreshed(profile, Grant(before), Grant(answer, evidence))
    assert closure(profile, after.scopes or ()) <= closure(profile, before)
    assert refreshed(profile, Grant(before), Grant(None)).scopes == before


@given(scopes_at_a_provider(2))
def test_lint_finds_something_in_anything_and_names_who_asks(case: tuple[Profile, list[Scopes]]) -> None:
    profile, (one, other) = case
    for finding in lint(profile, {"a.one": one, "b.other": other}, profiles().values()):
        assert set(finding.asked_by) <= {"a.one", "b.other"}
        assert finding.says.endswith(".")
        assert finding.severity in {"hard", "soft"}


def test_every_scope_that_a_profile_names_survives_its_own_canonical_form() -> None:
    for profile in profiles().values():
        for scope in profile.named_scopes:
            check_scope(scope)
            (name,) = canonical(profile, [scope])
            check_scope(name)
            assert name == canonical_name(profile, name)
            assert covers(profile, Grant((scope,)), [name]) == Covered()
            assert covers(profile, Grant((name,)), [scope]) == Covered()
