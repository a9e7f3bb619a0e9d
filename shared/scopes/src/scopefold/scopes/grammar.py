"""What a scope looks like, and how a provider's answer tells a list of them."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from scopefold.scopes.profile import Profile, ScopeList

MAX_TEXT_LENGTH: Final = 16 * 1024
"""Of one list of scopes, in characters: far more than any provider sends, and little enough to be read at once."""

_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


class BadScope(ValueError):
    """The text is no scope-token (RFC 6749, section 3.3), or no list of them that anyone would send."""


def check_scope(scope: str) -> None:
    """Raises `BadScope` unless this is one scope-token of at most 255 characters."""
    if not _SCOPE_TOKEN.fullmatch(scope):
        raise BadScope(f"{_shown(scope)} is not a scope-token (RFC 6749, section 3.3)")


def parse(profile: Profile, text: str) -> tuple[str, ...]:
    """The scopes in a token response's `scope`, each once, in the order received.

    Raises `BadScope` for anything that is not a list of scope-tokens.
    """
    if len(text) > MAX_TEXT_LENGTH:
        raise BadScope(f"a list of scopes of {len(text)} characters is too long; at most {MAX_TEXT_LENGTH} are read")
    separators = profile.response_separators
    return _checked(text.translate(str.maketrans(separators, " " * len(separators))).split(" "))


def told_scopes(profile: Profile, answer: Mapping[str, object]) -> tuple[str, ...] | None:
    """The scopes that a token answer tells, in all its lists; None where it tells none at all.

    A list may be a text or an array (HubSpot's `scopes`), in an inner object (Slack's `authed_user`), or empty.
    Raises `BadScope`.
    """
    found: list[str] = []
    told = False
    for one in profile.scope_lists:
        value = next((value for path in one.members if (value := member(answer, path)) is not None), None)
        if value is not None:
            told = True
            found += (one.prefix + scope for scope in _listed(profile, value))
    return tuple(dict.fromkeys(found)) if told else None


def member(answer: Mapping[str, object], path: str) -> object:
    """The member that a dotted path leads to; None where there is none."""
    value: object = answer
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def list_of(profile: Profile, scope: str) -> ScopeList:
    """The list in which this scope is asked for and told: that of the longest prefix that it bears."""
    bearing = [one for one in profile.scope_lists if scope.startswith(one.prefix)]
    return max(bearing, key=lambda one: len(one.prefix), default=profile.scope_lists[0])


def _listed(profile: Profile, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return parse(profile, value)
    if not isinstance(value, list) or not all(isinstance(scope, str) for scope in value):
        raise BadScope("a token answer tells scopes as a text or as an array of texts, and this is neither")
    if sum(map(len, value)) > MAX_TEXT_LENGTH:
        raise BadScope(f"a list of scopes is too long; at most {MAX_TEXT_LENGTH} characters are read")
    return _checked(value)


def _checked(found: Iterable[str]) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(scope for scope in found if scope))
    for scope in scopes:
        check_scope(scope)
    return scopes


def _shown(scope: str) -> str:
    """The text as ASCII, cut short, so that what looks like another letter or moves a cursor is seen."""
    return ascii(scope[:40]) + ("..." if len(scope) > 40 else "")
