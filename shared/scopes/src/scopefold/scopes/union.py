"""The union of scopes: how lists join, what a request asks for, and how it is written in the provider's way."""

from collections.abc import Iterable, Mapping

from scopefold.scopes.canonical import canonical_name, closure
from scopefold.scopes.classify import kind_of
from scopefold.scopes.grammar import list_of
from scopefold.scopes.profile import Profile


def union(*lists: Iterable[str]) -> tuple[str, ...]:
    """All scopes of all lists, each once, in the order of first sight."""
    return tuple(dict.fromkeys(scope for scopes in lists for scope in scopes))


def to_request(profile: Profile, wanted: Iterable[str]) -> tuple[str, ...]:
    """What is asked of the provider for `wanted`: without what it refuses, with what identity needs.

    Each scope once, in the order and in the spelling of first sight. Where the provider drops what another scope
    implies, that is not asked for: the answer is then what was asked.
    """
    supported = (scope for scope in wanted if kind_of(profile, scope) != "unsupported")
    asked: dict[str, str] = {}
    for scope in union(supported, profile.identity_scopes):
        asked.setdefault(canonical_name(profile, scope), scope)
    if not profile.drops_implied:
        return tuple(asked.values())
    return tuple(scope for name, scope in asked.items() if not _is_implied(profile, name, asked))


def request_parameters(profile: Profile, scopes: Iterable[str]) -> dict[str, str]:
    """The authorize parameters that ask for these scopes: `scope`, at Slack `user_scope` too, at Notion none."""
    lists: dict[str, list[str]] = {}
    for scope in scopes:
        one = list_of(profile, scope)
        lists.setdefault(one.parameter, []).append(scope.removeprefix(one.prefix))
    return {name: profile.request_separator.join(asked) for name, asked in lists.items() if name}


def _is_implied(profile: Profile, name: str, asked: Mapping[str, str]) -> bool:
    """Of scopes that imply each other, the first stands for all."""
    for other in asked:
        if other != name and name in closure(profile, [other]):
            mutual = other in closure(profile, [name])
            if not mutual or list(asked).index(other) < list(asked).index(name):
                return True
    return False
