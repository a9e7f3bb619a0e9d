"""Scope lists are read strictly, joined in order, and asked for in the provider's way."""

import pytest
from msgspec.structs import replace

from scopefold.scopes.grammar import BadScope, parse
from scopefold.scopes.profile import PLAIN, Profile
from scopefold.scopes.shipped import UnknownProfile, profile_named, profiles
from scopefold.scopes.union import to_request, union

ATLASSIAN = profile_named("atlassian")
BITBUCKET = profile_named("bitbucket")
COMMAS = replace(PLAIN, response_separators=", ")


@pytest.mark.parametrize(
    ("profile", "text", "scopes"),
    [
        (ATLASSIAN, "", ()),
        (ATLASSIAN, "   ", ()),
        (ATLASSIAN, "read:me", ("read:me",)),
        (ATLASSIAN, "write:jira-work read:me", ("write:jira-work", "read:me")),
        (ATLASSIAN, "  read:me   offline_access ", ("read:me", "offline_access")),
        (ATLASSIAN, "read:me offline_access read:me", ("read:me", "offline_access")),
        (ATLASSIAN, "read:me,offline_access", ("read:me,offline_access",)),
        (ATLASSIAN, "Read:Me read:me", ("Read:Me", "read:me")),
        (ATLASSIAN, "s" * 255, ("s" * 255,)),
        (COMMAS, "repo,read:user, gist", ("repo", "read:user", "gist")),
        (COMMAS, ",,repo,,", ("repo",)),
    ],
)
def test_a_list_of_scopes_is_read_in_its_order_each_once(profile: Profile, text: str, scopes: tuple[str, ...]) -> None:
    assert scopes == parse(profile, text)


@pytest.mark.parametrize(
    "text",
    [
        'say"hi"', "back\\slash", "read:me\n", "read:me\tread:jira-work", "read:me\r\nset-cookie:", "null\x00",
        "del\x7f", "r\u0435ad:me", "non\u00a0breaking", "zero\u200bwidth", "s" * 256, "ok\x1b[31m",
    ],
)  # fmt: skip
def test_anything_that_is_no_scope_token_is_refused(text: str) -> None:
    with pytest.raises(BadScope, match="scope-token"):
        parse(ATLASSIAN, text)


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], ()),
        ([[]], ()),
        ([["b", "a"]], ("b", "a")),
        ([["b", "a"], ["c", "a"]], ("b", "a", "c")),
        ([["a"], ["a"], ["a"]], ("a",)),
        ([["a", "a"]], ("a",)),
    ],
)
def test_a_union_keeps_the_order_of_first_sight(lists: list[list[str]], expected: tuple[str, ...]) -> None:
    assert expected == union(*lists)


IDENTITY = ("openid", "email", "profile")


@pytest.mark.parametrize(
    ("profile", "wanted", "asked"),
    [
        (ATLASSIAN, (), ("read:me",)),
        (ATLASSIAN, IDENTITY, ("read:me",)),
        (ATLASSIAN, (*IDENTITY, "read:jira-work"), ("read:jira-work", "read:me")),
        (ATLASSIAN, (*IDENTITY, "read:me", "offline_access"), ("read:me", "offline_access")),
        (BITBUCKET, (*IDENTITY, "offline_access", "pullrequest"), ("pullrequest", "account")),
        (BITBUCKET, ("account", "repository"), ("account", "repository")),
        (PLAIN, (*IDENTITY, "offline_access"), (*IDENTITY, "offline_access")),
    ],
)
def test_a_request_leaves_out_what_the_provider_refuses_and_adds_what_identity_needs(
    profile: Profile, wanted: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    assert asked == to_request(profile, wanted)


def test_an_unsupported_scope_is_left_out_of_a_request_under_any_spelling() -> None:
    profile = replace(PLAIN, aliases={"mail": "email"}, unsupported=frozenset({"email"}))
    assert to_request(profile, ("mail", "email", "files")) == ("files",)


def test_every_profile_file_loads_under_its_own_name() -> None:
    assert {"atlassian", "bitbucket"} <= set(profiles())
    for name, profile in profiles().items():
        assert name == profile.name
        assert profile == profile_named(name)


@pytest.mark.parametrize("profile", profiles().values(), ids=lambda profile: profile.name)
def test_a_profile_is_in_its_own_canonical_spelling(profile: Profile) -> None:
    """Coverage compares canonical names: a table in another spelling would silently never match."""
    told = {*profile.unsupported, *profile.virtual, *profile.implies, *profile.aliases.values()}
    told.update(scope for implied in profile.implies.values() for scope in implied)
    assert told.isdisjoint(profile.aliases)
    assert profile.unsupported.isdisjoint(profile.identity_scopes)


def test_an_unknown_profile_is_refused_with_the_names_of_the_known_ones() -> None:
    with pytest.raises(UnknownProfile, match="atlassian"):
        profile_named("atlasian")
