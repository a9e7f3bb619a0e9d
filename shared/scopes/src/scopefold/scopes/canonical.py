"""The one name that all spellings of a scope share, and what a scope implies."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from scopefold.scopes.profile import Profile


class Tables(Struct, frozen=True):
    """A profile's tables in canonical names, and its implications followed to their ends."""

    aliases: Mapping[str, str]
    bare: frozenset[str]
    unsupported: frozenset[str]
    virtual: Mapping[str, str]
    reach: Mapping[str, frozenset[str]]


@lru_cache(maxsize=128)
def tables(profile: Profile) -> Tables:
    """The profile's tables, made once."""
    aliases = {_folded(profile, other): _folded(profile, name) for other, name in profile.aliases.items()}
    bare = frozenset(_folded(profile, scope) for scope in (*profile.virtual, *profile.unsupported))

    def name(scope: str) -> str:
        return _named(profile, aliases, bare, scope)

    implies = {name(scope): {name(one) for one in implied} for scope, implied in profile.implies.items()}
    return Tables(
        aliases=aliases,
        bare=bare,
        unsupported=frozenset(map(name, profile.unsupported)),
        virtual={name(scope): evidence for scope, evidence in profile.virtual.items()},
        reach={scope: _reached(implies, scope) for scope in implies},
    )


def canonical_name(profile: Profile, scope: str) -> str:
    """The scope's canonical name: aliases resolved, the default resource added, case folded where it means nothing.

    A scope that the provider refuses, or that it does not echo, belongs to no resource, and is bare under any
    spelling: `https://graph.microsoft.com/offline_access` is `offline_access`.
    """
    known = tables(profile)
    if not (profile.ignores_case or profile.resources):
        return known.aliases.get(scope, scope)
    return _named(profile, known.aliases, known.bare, scope)


def canonical(profile: Profile, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes by their canonical names, each once, sorted."""
    return tuple(sorted({canonical_name(profile, scope) for scope in scopes}))


def closure(profile: Profile, scopes: Iterable[str]) -> frozenset[str]:
    """The scopes and everything that they imply at this provider, by canonical names.

    A directive such as `.default` is implied by any scope of its resource: it asks for nothing else.
    """
    reach = tables(profile).reach
    reached: set[str] = set()
    for name in canonical(profile, scopes):
        reached |= reach.get(name, {name})
    if profile.resources is not None:
        resources = {resource_of(profile, name) for name in reached}
        reached |= {resource + word for resource in resources if resource for word in profile.directives}
    return frozenset(reached)


def resource_of(profile: Profile, name: str) -> str:
    """The resource that a canonical name begins with, and its slash; empty where it is of none."""
    return name[: name.rfind("/") + 1] if profile.resources is not None else ""


def _folded(profile: Profile, scope: str) -> str:
    return scope.lower() if profile.ignores_case else scope


def _named(profile: Profile, aliases: Mapping[str, str], bare: frozenset[str], scope: str) -> str:
    name = _folded(profile, scope)
    name = aliases.get(name, name)
    if profile.resources is None:
        return name
    default = _folded(profile, profile.resources.default)
    if (own := name.removeprefix(default)) in bare:
        return own
    return name if "/" in name else default + name


def _reached(implies: Mapping[str, Iterable[str]], scope: str) -> frozenset[str]:
    reached, waiting = {scope}, [scope]
    while waiting:
        new = set(implies.get(waiting.pop(), ())) - reached
        reached |= new
        waiting += new
    return frozenset(reached)
