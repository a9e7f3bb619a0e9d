"""What kind of thing a scope is at a provider, and which family it belongs to."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from scopefold.scopes.canonical import canonical_name, tables
from scopefold.scopes.profile import Profile

Kind = Literal["grantable", "virtual", "directive", "unsupported"]
"""Grantable: the provider grants it and says so. Virtual: granted, but not reliably said; other evidence speaks for
it. Directive: a word in a scope's place that asks for what was consented before. Unsupported: refused here."""


def kind_of(profile: Profile, scope: str) -> Kind:
    """What kind of thing this scope is here."""
    known, name = tables(profile), canonical_name(profile, scope)
    if name in known.unsupported:
        return "unsupported"
    if name in known.virtual:
        return "virtual"
    return "directive" if name.rpartition("/")[2] in profile.directives else "grantable"


def family_of(profile: Profile, scope: str) -> str | None:
    """The family that names this scope, else the first whose pattern it matches; None where there is none."""
    name = canonical_name(profile, scope)
    if (known := _family_tables(profile).get(name)) is not None:
        return known
    for family, told in profile.families.items():
        if told.pattern and re.fullmatch(told.pattern, name):
            return family
    return None


def is_known(profile: Profile, scope: str) -> bool:
    """Does a table or a pattern of the profile know this scope?"""
    return canonical_name(profile, scope) in known_names(profile) or family_of(profile, scope) is not None


@lru_cache(maxsize=128)
def known_names(profile: Profile) -> frozenset[str]:
    """The canonical names of all scopes that the profile's tables name."""
    return frozenset(canonical_name(profile, scope) for scope in profile.named_scopes)


@lru_cache(maxsize=128)
def _family_tables(profile: Profile) -> Mapping[str, str]:
    return {
        canonical_name(profile, scope): family for family, told in profile.families.items() for scope in told.scopes
    }
