"""Union and coverage of scopes, at one provider."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from msgspec import Struct

from scopefold.scopes.profile import Profile

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


class BadScope(ValueError):
    """The text is no scope-token (RFC 6749, section 3.3)."""


class Grant(Struct, frozen=True):
    """What a token is known to carry.

    `scopes` is what the provider says it granted (None: it did not say), `evidence` what else its answer proved,
    `disproved` what a call has since shown to be missing although it was granted.
    """

    scopes: tuple[str, ...] | None
    evidence: tuple[str, ...] = ()
    disproved: tuple[str, ...] = ()


class Covered(Struct, frozen=True):
    """The grant carries everything that is required."""


class Missing(Struct, frozen=True):
    """The grant lacks these scopes, in the order and spelling in which they were required."""

    scopes: tuple[str, ...]


class Unknown(Struct, frozen=True):
    """The provider did not say what it granted, and nothing has shown that it is too little."""


Coverage = Covered | Missing | Unknown


def parse(profile: Profile, text: str) -> tuple[str, ...]:
    """The scopes in a token response's `scope`, each once, in the order received.

    Raises `BadScope` for anything that is not a list of scope-tokens.
    """
    separators = profile.response_separators
    found = text.translate(str.maketrans(separators, " " * len(separators))).split(" ")
    scopes = tuple(dict.fromkeys(scope for scope in found if scope))
    for scope in scopes:
        if not _SCOPE_TOKEN.fullmatch(scope):
            raise BadScope(f"{scope[:40]!r} is not a scope-token (RFC 6749, section 3.3)")
    return scopes


def union(*lists: Iterable[str]) -> tuple[str, ...]:
    """All scopes of all lists, each once, in the order of first sight."""
    return tuple(dict.fromkeys(scope for scopes in lists for scope in scopes))


def to_request(profile: Profile, wanted: Iterable[str]) -> tuple[str, ...]:
    """What is asked of the provider for `wanted`: without what it refuses, with what identity needs."""
    supported = (scope for scope in wanted if profile.aliases.get(scope, scope) not in profile.unsupported)
    return union(supported, profile.identity_scopes)


def canonical(profile: Profile, scopes: Iterable[str]) -> tuple[str, ...]:
    """The scopes in the provider's canonical spelling, each once, sorted."""
    return tuple(sorted({profile.aliases.get(scope, scope) for scope in scopes}))


def closure(profile: Profile, scopes: Iterable[str]) -> frozenset[str]:
    """The scopes and everything that they imply at this provider, in canonical spelling."""
    reached = set(canonical(profile, scopes))
    waiting = list(reached)
    while waiting:
        for implied in profile.implies.get(waiting.pop(), ()):
            if implied not in reached:
                reached.add(implied)
                waiting.append(implied)
    return frozenset(reached)


@lru_cache(maxsize=4096)
def canonical_grant(profile: Profile, grant: Grant) -> Grant:
    """The grant in the one form that all grants equal to it share: users are counted by it.

    What was disproved but neither granted nor proved says nothing more than the grant itself, so it is left out.
    """
    disproved = canonical(profile, grant.disproved)
    if grant.scopes is None:
        return Grant(None, tuple(sorted(set(grant.evidence))), disproved)
    carried = closure(profile, grant.scopes)
    return Grant(
        canonical(profile, grant.scopes),
        tuple(sorted(set(grant.evidence))),
        tuple(scope for scope in disproved if scope in carried or profile.virtual.get(scope) in grant.evidence),
    )


def covers(profile: Profile, grant: Grant, required: Iterable[str]) -> Coverage:
    """Does the grant carry what is required?

    A virtual scope is covered by its evidence, an unsupported one is never required, a disproved one is missing
    whatever the provider said.
    """
    asked = {scope: profile.aliases.get(scope, scope) for scope in required}
    needed = {scope: name for scope, name in asked.items() if name not in profile.unsupported}
    disproved = set(canonical(profile, grant.disproved))
    carried = closure(profile, grant.scopes or ())
    missing, unsaid = [], False
    for scope, name in needed.items():
        if name in disproved:
            missing.append(scope)
        elif name in carried or profile.virtual.get(name) in grant.evidence:
            continue
        elif grant.scopes is None and name not in profile.virtual:
            unsaid = True
        else:
            missing.append(scope)
    if missing:
        return Missing(tuple(missing))
    return Unknown() if unsaid else Covered()
