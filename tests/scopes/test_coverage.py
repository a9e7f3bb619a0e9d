"""Does a grant carry what is required? One row per rule; the answer stands last."""

import pytest

from scopefold.scopes.canonical import closure
from scopefold.scopes.coverage import Coverage, Covered, Grant, Missing, Unknown, canonical_grant, covers
from scopefold.scopes.profile import PLAIN
from scopefold.scopes.shipped import profile_named

ATLASSIAN = profile_named("atlassian")
BITBUCKET = profile_named("bitbucket")
REFRESH = ("refresh_token",)
JIRA = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")

COVERED, UNKNOWN = Covered(), Unknown()
DOCS = "developer.atlassian.com/cloud/confluence/oauth-2-3lo-apps"
OBSERVED_OPENID = "observed: a 3LO request with openid ends on an error page"
OBSERVED_V2 = "observed: classic Confluence scopes do not open /wiki/api/v2"
NOT_PUBLISHED = DOCS + ": which scope implies which is not published"
RFC_CASE = "RFC 6749, section 3.3: scope-tokens are case-sensitive"
STAFF_OFFLINE = "community.developer.atlassian.com/t/53299/72: offline_access belongs to the authorization server"
OWN_RULE = "our own rule"


def held(scopes: str | None, evidence: tuple[str, ...] = (), disproved: str = "") -> Grant:
    return Grant(None if scopes is None else tuple(scopes.split()), evidence, tuple(disproved.split()))


def lacks(*scopes: str) -> Missing:
    return Missing(scopes)


ATLASSIAN_TABLE: list[tuple[Grant, tuple[str, ...], str, Coverage]] = [
    # grant, required, why, coverage
    (held(""), (), OWN_RULE, COVERED),
    (held(None), (), OWN_RULE, COVERED),
    (held("read:me"), ("read:me",), OWN_RULE, COVERED),
    (held("read:me write:jira-work"), ("read:me",), OWN_RULE, COVERED),
    (held(""), ("read:me",), OWN_RULE, lacks("read:me")),
    (held("read:me"), ("read:jira-work", "read:me"), OWN_RULE, lacks("read:jira-work")),
    (held(""), ("write:jira-work", "read:jira-work"), OWN_RULE, lacks("write:jira-work", "read:jira-work")),
    (held("write:jira-work"), ("read:jira-work",), NOT_PUBLISHED, lacks("read:jira-work")),
    (held("manage:jira-configuration"), ("manage:jira-project",), NOT_PUBLISHED, lacks("manage:jira-project")),
    (held("read:jira-work"), ("read:issue:jira",), NOT_PUBLISHED, lacks("read:issue:jira")),
    (held("read:issue:jira"), ("read:jira-work",), NOT_PUBLISHED, lacks("read:jira-work")),
    (held("read:confluence-content.all"), ("read:page:confluence",), OBSERVED_V2, lacks("read:page:confluence")),
    (held("READ:ME"), ("read:me",), RFC_CASE, lacks("read:me")),
    (held("read:me "), ("read:me",), OWN_RULE, COVERED),
    (held("read:me"), ("openid", "email", "profile", "read:me"), OBSERVED_OPENID, COVERED),
    (held(""), ("openid",), OBSERVED_OPENID, COVERED),
    (held(None), ("openid", "email"), OBSERVED_OPENID, COVERED),
    (held("read:me"), ("offline_access",), STAFF_OFFLINE, lacks("offline_access")),
    (held("read:me", REFRESH), ("offline_access",), DOCS + ": a refresh token needs offline_access", COVERED),
    (held("offline_access"), ("offline_access",), OWN_RULE, COVERED),
    (held("", ("identity",)), ("offline_access",), OWN_RULE, lacks("offline_access")),
    (held("", REFRESH), ("read:me",), OWN_RULE, lacks("read:me")),
    (held(None, REFRESH), ("offline_access",), OWN_RULE, COVERED),
    (held(None), ("offline_access",), OWN_RULE, lacks("offline_access")),
    (held(None), ("read:me",), "RFC 6749, section 5.1, trusted for no provider", UNKNOWN),
    (held(None, REFRESH), JIRA, "RFC 6749, section 5.1, trusted for no provider", UNKNOWN),
    (held(None), ("read:me", "offline_access"), OWN_RULE, lacks("offline_access")),
    (held("read:me write:jira-work", (), "write:jira-work"), JIRA[:1], OWN_RULE, COVERED),
    (held("write:jira-work", (), "write:jira-work"), ("write:jira-work",), OWN_RULE, lacks("write:jira-work")),
    (held(None, (), "write:jira-work"), ("write:jira-work", "read:me"), OWN_RULE, lacks("write:jira-work")),
    (held(None, (), "write:jira-work"), ("read:me",), OWN_RULE, UNKNOWN),
    (held("", REFRESH, "offline_access"), ("offline_access",), OWN_RULE, lacks("offline_access")),
    (held("read:me", (), "openid"), ("openid", "read:me"), OBSERVED_OPENID, COVERED),
    (held(" ".join(JIRA[:4]), REFRESH), JIRA, DOCS, COVERED),
    (held(" ".join(JIRA[:4])), JIRA, DOCS, lacks("offline_access")),
]

BITBUCKET_DOCS = "developer.atlassian.com/cloud/bitbucket/rest/intro"
BITBUCKET_TABLE: list[tuple[str, str, Coverage]] = [
    # granted, required, coverage; source: the page above
    ("project", "repository", COVERED),
    ("repository:write", "repository", COVERED),
    ("pullrequest", "repository", COVERED),
    ("pullrequest:write", "pullrequest", COVERED),
    ("pullrequest:write", "repository:write", COVERED),
    ("pullrequest:write", "repository", COVERED),
    ("issue:write", "issue", COVERED),
    ("snippet:write", "snippet", COVERED),
    ("repository", "repository:write", lacks("repository:write")),
    ("repository:admin", "repository", lacks("repository")),
    ("repository:admin", "repository:write", lacks("repository:write")),
    ("repository:delete", "repository", lacks("repository")),
    ("project:admin", "project", lacks("project")),
    ("pullrequest", "repository:write", lacks("repository:write")),
    ("wiki", "repository", lacks("repository")),
    ("webhook", "repository", lacks("repository")),
    ("issue", "repository", lacks("repository")),
    ("pipeline:write", "pipeline", lacks("pipeline")),
    ("read:repository:bitbucket", "repository", lacks("repository")),
    ("account", "openid email profile offline_access account", COVERED),
]


@pytest.mark.parametrize(("grant", "required", "why", "expected"), ATLASSIAN_TABLE)
def test_coverage_at_atlassian(grant: Grant, required: tuple[str, ...], why: str, expected: Coverage) -> None:
    assert expected == covers(ATLASSIAN, grant, required), why
    assert expected == covers(ATLASSIAN, canonical_grant(ATLASSIAN, grant), required), f"canonical; {why}"


@pytest.mark.parametrize(("granted", "required", "expected"), BITBUCKET_TABLE)
def test_coverage_at_bitbucket(granted: str, required: str, expected: Coverage) -> None:
    assert expected == covers(BITBUCKET, held(granted), required.split()), BITBUCKET_DOCS


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
