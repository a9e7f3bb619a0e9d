"""GitHub's scopes: which there are, and which another one brings with it.

Source: github/docs, content/apps/oauth-apps/building-oauth-apps/scopes-for-oauth-apps; the hierarchy is the indentation
of its table. The words on the consent page are ours.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from scopefold.sandbox.core.implications import closure

IMPLIED: Final[Mapping[str, Sequence[str]]] = {
    "repo": ("repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"),
    "admin:repo_hook": ("write:repo_hook",),
    "write:repo_hook": ("read:repo_hook",),
    "admin:org": ("write:org",),
    "write:org": ("read:org",),
    "admin:public_key": ("write:public_key",),
    "write:public_key": ("read:public_key",),
    "admin:gpg_key": ("write:gpg_key",),
    "write:gpg_key": ("read:gpg_key",),
    "user": ("read:user", "user:email", "user:follow"),
    "project": ("read:project",),
    "admin:enterprise": ("manage_runners:enterprise", "manage_billing:enterprise", "read:enterprise"),
}
WORDS: Final[Mapping[str, str]] = {
    "repo": "Full control of private repositories",
    "repo:status": "Access commit status",
    "repo_deployment": "Access deployment status",
    "public_repo": "Access public repositories",
    "repo:invite": "Access repository invitations",
    "security_events": "Read and write security events",
    "gist": "Create gists",
    "notifications": "Access notifications",
    "user": "Update all user data",
    "read:user": "Read all user profile data",
    "user:email": "Access user email addresses (read-only)",
    "user:follow": "Follow and unfollow users",
    "workflow": "Update GitHub Action workflows",
    "delete_repo": "Delete repositories",
    "write:packages": "Upload packages to GitHub Package Registry",
    "read:packages": "Download packages from GitHub Package Registry",
    "delete:packages": "Delete packages from GitHub Package Registry",
    "admin:org_hook": "Full control of organization hooks",
    "read:audit_log": "Read access of audit log",
    "codespace": "Full control of codespaces",
}


def normalized(scopes: Sequence[str]) -> tuple[str, ...]:
    """The scopes without those that another of them brings ("Normalized scopes"), in their order."""
    brought = {below for scope in scopes for below in closure([scope], IMPLIED) - {scope}}
    return tuple(scope for scope in dict.fromkeys(scopes) if scope not in brought)


def is_known(scope: str) -> bool:
    """Whether GitHub has such a scope."""
    return scope in WORDS or scope in closure(IMPLIED, IMPLIED)


def words_of(scope: str) -> str:
    """What the consent page says that this scope allows."""
    return WORDS.get(scope, scope.replace(":", " ").replace("_", " ").capitalize())
