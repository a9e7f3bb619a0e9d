"""Atlassian's scopes as its console and its consent page know them: which API each belongs to, and what it says.

The names are from Atlassian's scope pages (developer.atlassian.com/cloud/{jira,jira-service-desk,confluence}/...);
the words on the consent page are ours.
"""

from collections.abc import Iterable, Mapping
from typing import Final

JIRA: Final = "Jira API"
JSM: Final = "Jira Service Management API"
CONFLUENCE: Final = "Confluence API"
IDENTITY: Final = "User identity API"
UNKNOWN: Final = "requested API"

OFFLINE_ACCESS: Final = "offline_access"
"""Only ever in the authorize request: it is on no permissions tab, so no app can lack it."""

OPENID_SCOPES: Final = frozenset({"openid", "profile", "email"})
"""Observed: any of these in a 3LO request ends on an error page."""

CLASSIC: Final[Mapping[str, Mapping[str, str]]] = {
    JIRA: {
        "read:jira-user": "View people in Jira",
        "read:jira-work": "View projects and issues in Jira",
        "write:jira-work": "Create and change issues in Jira",
        "manage:jira-project": "Manage project settings in Jira",
        "manage:jira-configuration": "Manage the Jira site's settings",
        "manage:jira-webhook": "Manage webhooks in Jira",
        "manage:jira-data-provider": "Manage development and operations data in Jira",
    },
    JSM: {
        "read:servicedesk-request": "View customer requests",
        "write:servicedesk-request": "Create and change customer requests",
        "manage:servicedesk-customer": "Manage customers and their organisations",
        "read:servicemanagement-insight-assets": "View assets",
    },
    CONFLUENCE: {
        "read:confluence-space.summary": "View space summaries in Confluence",
        "read:confluence-props": "View content properties in Confluence",
        "write:confluence-props": "Change content properties in Confluence",
        "read:confluence-content.all": "View pages, posts and comments in Confluence, with their bodies",
        "read:confluence-content.summary": "View summaries of pages and posts in Confluence",
        "read:confluence-content.permission": "View who may see what in Confluence",
        "read:confluence-user": "View people in Confluence",
        "read:confluence-groups": "View groups in Confluence",
        "write:confluence-content": "Create and change pages, posts and comments in Confluence",
        "write:confluence-space": "Create and change spaces in Confluence",
        "write:confluence-file": "Upload attachments to Confluence",
        "write:confluence-groups": "Create and remove groups in Confluence",
        "manage:confluence-configuration": "Manage the Confluence site's settings",
        "search:confluence": "Search Confluence",
        "readonly:content.attachment:confluence": "Download attachments from Confluence",
    },
    IDENTITY: {
        "read:me": "View your profile: name, e-mail address, picture",
        "read:account": "View your account",
    },
}
OPERATIONS: Final[Mapping[str, str]] = {
    "read:ops-alert:jira-service-management": "View alerts",
    "write:ops-alert:jira-service-management": "Create and change alerts",
    "delete:ops-alert:jira-service-management": "Delete alerts",
    "read:ops-config:jira-service-management": "View on-call schedules and routing",
    "write:ops-config:jira-service-management": "Create and change on-call schedules and routing",
    "delete:ops-config:jira-service-management": "Delete on-call schedules and routing",
}
PRESET: Final = frozenset({scope for table in CLASSIC.values() for scope in table} | OPERATIONS.keys()) - {
    "read:account"
}
"""What the preset app's permissions tab holds."""

_API_BY_SUFFIX: Final = {
    "jira": JIRA,
    "jira-software": JIRA,
    "jira-service-management": JSM,
    "cmdb": JSM,
    "confluence": CONFLUENCE,
}


def api_of(scope: str) -> str:
    """The API under whose name the console lists this scope; `UNKNOWN` if there is none."""
    for api, table in CLASSIC.items():
        if scope in table:
            return api
    return _API_BY_SUFFIX.get(scope.rpartition(":")[2], UNKNOWN)


def is_granular(scope: str) -> bool:
    """Whether this is a granular scope (verb:resource:product). Some classic ones look like it: a table decides."""
    return scope.count(":") >= 2 and not any(scope in table for table in CLASSIC.values())


def words_of(scope: str) -> str:
    """What the consent page says that this scope allows."""
    if scope == OFFLINE_ACCESS:
        return "Keep this access while you are away"
    for table in (*CLASSIC.values(), OPERATIONS):
        if scope in table:
            return table[scope]
    verb, _, rest = scope.partition(":")
    resource, _, product = rest.rpartition(":")
    readable = f"{verb} {(resource or rest).replace(':', ' ').replace('-', ' ').replace('.', ' ')}"
    return f"{readable.capitalize()} in {product.replace('-', ' ').title()}" if resource else readable.capitalize()


def in_container(scopes: Iterable[str], apis: frozenset[str]) -> tuple[str, ...]:
    """Those of the scopes that belong to these APIs, in their order."""
    return tuple(scope for scope in scopes if api_of(scope) in apis)


def not_added(missing: Iterable[str]) -> list[str]:
    """What the consent page says of scopes that are not on the app's permissions tab, a sentence for each API.

    The wording is the observed one (microsoft/vscode#319120, atlassian/atlassian-mcp-server#177).
    """
    by_api: dict[str, list[str]] = {}
    for scope in missing:
        by_api.setdefault(api_of(scope), []).append(scope)
    return [
        f"This app has requested {api} scopes that have not been added to the app. Configure the app at "
        f"https://developer.atlassian.com/apps and add the following scopes to the {api}: {', '.join(scopes)}."
        for api, scopes in by_api.items()
    ]
