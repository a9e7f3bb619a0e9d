"""What is wrong with what connectors ask for: one row per rule; severity, rule and who clashes stand last."""

import pytest

from scopefold.scopes.lint import lint
from scopefold.scopes.shipped import profile_named, profiles

Asks = dict[str, list[str]]
JIRA = ["read:me", "read:jira-work", "offline_access"]
FOUND: list[tuple[str, Asks, str, str, tuple[str, ...], tuple[str, ...]]] = [
    # profile, asks, severity, rule, scopes, asked by
    ("atlassian", {"a.a": JIRA, "b.b": ["read:issue:jira"]}, "soft", "exclusion",
     ("read:jira-work", "read:issue:jira"), ("a.a", "b.b")),
    ("atlassian", {"a.a": ["read:jira-work", "read:issue:jira"], "b.b": ["read:me"]}, "soft", "exclusion",
     ("read:jira-work", "read:issue:jira"), ("a.a",)),
    ("atlassian", {"a.a": JIRA, "b.b": ["repository"]}, "hard", "foreign", ("repository",), ("b.b",)),
    ("atlassian", {"a.a": [*JIRA, "User.Read"]}, "hard", "foreign", ("User.Read",), ("a.a",)),
    ("atlassian", {"a.a": ["read:opsgenie", "offline_access"]}, "hard", "retired", ("read:opsgenie",), ("a.a",)),
    ("atlassian", {"a.a": ["openid", *JIRA], "b.b": ["email"]}, "soft", "unsupported",
     ("openid", "email"), ("a.a", "b.b")),
    ("atlassian", {"a.a": ["read:jira-work"]}, "soft", "offline", ("offline_access",), ("a.a",)),
    ("atlassian", {"a.a": [*JIRA, "red:jira-work"]}, "soft", "unknown", ("red:jira-work",), ("a.a",)),
    ("atlassian", {"a.a": [*JIRA, 'say "hi"']}, "hard", "grammar", ('say "hi"',), ("a.a",)),
    ("atlassian", {"a.a": [*JIRA, "r\u0435ad:me"]}, "hard", "grammar", ("r\u0435ad:me",), ("a.a",)),
    ("bitbucket", {"a.a": ["account", "project:write"]}, "soft", "retired", ("project:write",), ("a.a",)),
    ("bitbucket", {"a.a": ["read:jira-work"]}, "hard", "foreign", ("read:jira-work",), ("a.a",)),
    ("google", {"a.a": ["repo"]}, "hard", "foreign", ("repo",), ("a.a",)),
    ("github", {"a.a": ["repo", "rep"]}, "soft", "unknown", ("rep",), ("a.a",)),
    ("microsoft", {"a.a": ["https://graph.microsoft.com/.default"], "b.b": ["Mail.Read"]}, "hard", "exclusion",
     ("https://graph.microsoft.com/.default", "Mail.Read"), ("a.a", "b.b")),
    ("microsoft", {"a.a": [".default"], "b.b": ["https://outlook.office.com/IMAP.AccessAsUser.All"]}, "hard",
     "exclusion", (".default", "https://outlook.office.com/IMAP.AccessAsUser.All"), ("a.a", "b.b")),
    ("microsoft", {"a.a": ["Mail.Read"]}, "soft", "offline", ("offline_access",), ("a.a",)),
    ("microsoft", {"a.a": ["https://www.googleapis.com/auth/drive"]}, "hard", "foreign",
     ("https://www.googleapis.com/auth/drive",), ("a.a",)),
    ("microsoft", {"a.a": ["offline_access", "https://graph.microsoft.us/Mail.Send"]}, "hard", "foreign",
     ("https://graph.microsoft.us/Mail.Send",), ("a.a",)),
    ("asana", {"a.a": ["default"], "b.b": ["tasks:read"]}, "hard", "exclusion",
     ("default", "tasks:read"), ("a.a", "b.b")),
    ("zoom", {"a.a": ["user:read:admin"], "b.b": ["user:read:user"]}, "hard", "exclusion",
     ("user:read:admin", "user:read:user"), ("a.a", "b.b")),
    ("slack", {"a.a": ["openid", "chat:write"]}, "soft", "unsupported", ("openid",), ("a.a",)),
    ("salesforce", {"a.a": ["api"]}, "soft", "offline", ("refresh_token",), ("a.a",)),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "asks", "severity", "rule", "scopes", "asked_by"), FOUND)
def test_F20_a_fault_is_found_with_its_scopes_and_who_asks_for_them(
    *, profile: str, asks: Asks, severity: str, rule: str, scopes: tuple[str, ...], asked_by: tuple[str, ...]
) -> None:
    (found,) = [one for one in lint(profile_named(profile), asks, profiles().values()) if one.rule == rule]
    assert (severity, scopes, asked_by) == (found.severity, found.scopes, found.asked_by)
    assert found.says.endswith(".")
    assert found.says.isascii()


CLEAN: list[tuple[str, Asks]] = [
    ("atlassian", {"a.a": JIRA, "b.b": ["read:confluence-content.all"]}),
    ("atlassian", {"a.a": ["read:board-scope:jira-software", "offline_access"]}),
    ("atlassian", {"a.a": ["read:something-new:jira", "read:me", "offline_access"]}),
    ("bitbucket", {"a.a": ["account", "repository:write"]}),
    ("google", {"a.a": ["openid", "https://www.googleapis.com/auth/drive"]}),
    ("microsoft", {"a.a": ["Mail.Read", "https://outlook.office.com/IMAP.AccessAsUser.All", "offline_access"]}),
    ("microsoft", {"a.a": ["https://graph.microsoft.com/.default", "openid", "https://graph.microsoft.com/offline_access"]}),
    ("github", {"a.a": ["repo"], "b.b": ["gist"]}),
    ("slack", {"a.a": ["chat:write", "user:search:read"]}),
    ("salesforce", {"a.a": ["api", "offline_access"]}),
    ("okta-custom", {"a.a": ["repository", "offline_access"]}),
    ("oidc", {"a.a": ["anything", "offline_access"]}),
    ("atlassian", {}),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "asks"), CLEAN)
def test_nothing_is_found_where_nothing_is_wrong(profile: str, asks: Asks) -> None:
    assert () == lint(profile_named(profile), asks, profiles().values())


def test_too_many_scopes_are_warned_of_and_too_long_an_address_is_refused() -> None:
    """Fewer than 50 are recommended at Atlassian (its 3LO page); RFC 9110, section 4.1: 8000 octets."""
    atlassian = profile_named("atlassian")
    granular = atlassian.families["granular"].scopes
    fits = lint(atlassian, {"a.a": [*granular[:47], "offline_access"]})
    many = lint(atlassian, {"a.a": [*granular[:60], "offline_access"]})
    long = lint(atlassian, {"a.a": [*granular[:300], "offline_access"]})
    assert [[], ["count"], ["length", "count"]] == [[one.rule for one in found] for found in (fits, many, long)]
    assert long[0].severity == "hard"


def test_two_connectors_that_clash_are_named_and_a_third_is_not() -> None:
    asana = profile_named("asana")
    asks = {"a.full": ["default"], "b.granular": ["tasks:read"], "c.login": ["openid"], "d.granular": ["users:read"]}
    found = [one.asked_by for one in lint(asana, asks)]
    assert [("a.full", "b.granular"), ("a.full", "d.granular")] == found
