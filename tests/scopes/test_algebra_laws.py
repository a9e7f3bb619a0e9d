"""Laws that hold for every profile and for all scopes."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.scopes.canonical import canonical, closure
from scopefold.scopes.coverage import Covered, Grant, Missing, canonical_grant, covers
from scopefold.scopes.grammar import parse
from scopefold.scopes.profile import PLAIN, Profile
from scopefold.scopes.shipped import profiles
from scopefold.scopes.union import to_request, union

MADE_UP = replace(
    PLAIN,
    name="made-up",
    aliases={"mail": "email", "all": "admin"},
    implies={"admin": ("write",), "write": ("read",), "read": ("write",), "email": ("address",)},
    unsupported=frozenset({"openid", "address"}),
    virtual={"offline_access": "refresh_token", "profile": "identity"},
)
"""Everything that a profile can say, with a circle among the implications."""

PROFILES = st.sampled_from([MADE_UP, *profiles().values()])
SCOPES = st.sampled_from(
    [
        "mail", "email", "address", "all", "admin", "write", "read", "openid", "profile", "offline_access", "read:me",
        "read:jira-work", "write:jira-work", "repository", "repository:write", "pullrequest", "pullrequest:write",
        "account", "project", "Read", "unheard-of",
    ]
)  # fmt: skip
LISTS = st.lists(SCOPES, max_size=8).map(tuple)
EVIDENCE = st.lists(st.sampled_from(["identity", "refresh_token"]), max_size=3).map(tuple)
GRANTS = st.builds(Grant, st.none() | LISTS, EVIDENCE, st.just(()) | LISTS)


@given(PROFILES, LISTS)
def test_canonical_form_and_closure_are_reached_in_one_step(profile: Profile, scopes: tuple[str, ...]) -> None:
    assert canonical(profile, scopes) == canonical(profile, canonical(profile, scopes))
    assert closure(profile, scopes) == closure(profile, closure(profile, scopes))
    assert set(canonical(profile, scopes)) <= closure(profile, scopes)


@given(PROFILES, LISTS, LISTS)
def test_closure_of_more_is_more(profile: Profile, one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert closure(profile, one) | closure(profile, other) == closure(profile, one + other)


@given(LISTS, LISTS, LISTS)
def test_union_is_associative_and_idempotent_and_commutes_but_for_the_order(
    a: tuple[str, ...], b: tuple[str, ...], c: tuple[str, ...]
) -> None:
    assert union(a, union(b, c)) == union(union(a, b), c) == union(a, b, c)
    assert union(a, a) == union(a)
    assert union(a, union(a, b)) == union(a, b)
    assert set(union(a, b)) == set(union(b, a))


@given(PROFILES, LISTS, EVIDENCE)
def test_what_is_granted_is_covered(profile: Profile, scopes: tuple[str, ...], evidence: tuple[str, ...]) -> None:
    assert covers(profile, Grant(scopes, evidence), scopes) == Covered()


@given(profile=PROFILES, less=GRANTS, scopes=LISTS, evidence=EVIDENCE, required=LISTS)
def test_a_larger_grant_covers_no_less(
    profile: Profile, less: Grant, *, scopes: tuple[str, ...], evidence: tuple[str, ...], required: tuple[str, ...]
) -> None:
    more = Grant((less.scopes or ()) + scopes, less.evidence + evidence, less.disproved)
    before = covers(profile, replace(less, scopes=less.scopes or ()), required)
    assert missing(covers(profile, more, required)) <= missing(before)


@given(PROFILES, GRANTS, LISTS)
def test_disproving_never_helps(profile: Profile, grant: Grant, disproved: tuple[str, ...]) -> None:
    worse = replace(grant, disproved=grant.disproved + disproved)
    for required in disproved:
        assert missing(covers(profile, grant, [required])) <= missing(covers(profile, worse, [required]))


@given(PROFILES, GRANTS, LISTS, LISTS)
def test_two_lists_are_covered_together_exactly_when_each_is(
    profile: Profile, grant: Grant, one: tuple[str, ...], other: tuple[str, ...]
) -> None:
    together = covers(profile, grant, one + other)
    apart = [covers(profile, grant, one), covers(profile, grant, other)]
    assert (together == Covered()) is all(part == Covered() for part in apart)
    # By their names: a scope that stands in both, spelled in two ways, is told in the first.
    lacks, *each = [set(canonical(profile, missing(coverage))) for coverage in (together, *apart)]
    assert lacks == each[0] | each[1]


@given(PROFILES, GRANTS, LISTS)
def test_the_canonical_grant_is_judged_as_the_grant_is(
    profile: Profile, grant: Grant, required: tuple[str, ...]
) -> None:
    once = canonical_grant(profile, grant)
    assert once == canonical_grant(profile, once)
    assert covers(profile, grant, required) == covers(profile, once, required)


@given(PROFILES, LISTS)
def test_a_grant_of_exactly_what_was_requested_covers_what_was_wanted(
    profile: Profile, wanted: tuple[str, ...]
) -> None:
    assert covers(profile, Grant(to_request(profile, wanted)), wanted) == Covered()


@given(PROFILES, LISTS)
def test_rendered_scopes_parse_to_themselves(profile: Profile, scopes: tuple[str, ...]) -> None:
    separator = profile.response_separators[0]
    assert union(scopes) == parse(profile, separator.join(scopes))


def missing(coverage: object) -> set[str]:
    return set(coverage.scopes) if isinstance(coverage, Missing) else set()
