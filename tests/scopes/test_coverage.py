"""What holds of coverage at every provider; the tables of each are in `test_tables`."""

import pytest

from scopefold.scopes.canonical import closure
from scopefold.scopes.coverage import Coverage, Covered, Grant, Missing, Unknown, canonical_grant, covers
from scopefold.scopes.profile import PLAIN
from scopefold.scopes.shipped import profile_named

ATLASSIAN = profile_named("atlassian")
BITBUCKET = profile_named("bitbucket")
REFRESH = ("refresh_token",)

COVERED, UNKNOWN = Covered(), Unknown()


def held(scopes: str | None, evidence: tuple[str, ...] = (), disproved: str = "") -> Grant:
    return Grant(None if scopes is None else tuple(scopes.split()), evidence, tuple(disproved.split()))


def lacks(*scopes: str) -> Missing:
    return Missing(scopes)


DISPROVED: list[tuple[Grant, tuple[str, ...], Coverage]] = [
    # grant, required, coverage
    (held("read:me write:jira-work", (), "write:jira-work"), ("read:me",), COVERED),
    (held("write:jira-work", (), "write:jira-work"), ("write:jira-work",), lacks("write:jira-work")),
    (held(None, (), "write:jira-work"), ("write:jira-work", "read:me"), lacks("write:jira-work")),
    (held(None, (), "write:jira-work"), ("read:me",), UNKNOWN),
    (held("", REFRESH, "offline_access"), ("offline_access",), lacks("offline_access")),
    (held("read:me", (), "openid"), ("openid", "read:me"), COVERED),
]


@pytest.mark.parametrize(("grant", "required", "expected"), DISPROVED)
def test_what_was_disproved_is_missing_whatever_was_granted(
    grant: Grant, required: tuple[str, ...], expected: Coverage
) -> None:
    assert expected == covers(ATLASSIAN, grant, required)
    assert expected == covers(ATLASSIAN, canonical_grant(ATLASSIAN, grant), required)


def test_what_a_disproved_scope_implied_is_judged_by_itself() -> None:
    grant = held("repository:write", (), "repository")
    assert covers(BITBUCKET, grant, ["repository"]) == lacks("repository")
    assert covers(BITBUCKET, grant, ["repository:write"]) == COVERED


def test_a_grant_at_bitbucket_reaches_over_two_implications() -> None:
    assert {"pullrequest:write", "pullrequest", "repository:write", "repository"} == closure(
        BITBUCKET, ["pullrequest:write"]
    )


def test_at_an_unknown_provider_every_scope_means_itself() -> None:
    assert covers(PLAIN, held("openid"), ["openid", "offline_access"]) == lacks("offline_access")
    assert covers(PLAIN, held("offline_access"), ["offline_access"]) == COVERED


def test_equal_grants_share_one_form() -> None:
    one = Grant(("write:jira-work", "read:me", "read:me"), ("refresh_token", "identity"), ("read:me", "never:granted"))
    other = Grant(("read:me", "write:jira-work"), ("identity", "refresh_token"), ("read:me",))
    assert canonical_grant(ATLASSIAN, one) == canonical_grant(ATLASSIAN, other)
