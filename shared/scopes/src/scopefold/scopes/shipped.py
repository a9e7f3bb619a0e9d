"""Reads the profiles that ship with this package.

A file describes one provider. What a provider runs several times, as Microsoft runs its clouds, is written once:
`[hosts]` names what differs, `{a host}` stands for it anywhere in the file, and each table `[variants.x]` is a profile
of its own, `name-x`, which is the file with that table laid over it.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
from msgspec import Struct

from scopefold.scopes.errors import KnownError
from scopefold.scopes.profile import Profile

_BLANK: Final = re.compile(r"\{([a-z_]+)\}")


class UnknownProfile(LookupError):
    """There is no profile of this name."""


class _Errors(Struct, frozen=True, forbid_unknown_fields=True):
    errors: tuple[KnownError, ...]


@cache
def profiles() -> Mapping[str, Profile]:
    """All profiles that ship with this package, by name, in the order of their names."""
    folder = files(__package__).joinpath("profiles")
    texts = [entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".toml")]
    found = [profile for text in texts for profile in read_profiles(text)]
    return {profile.name: profile for profile in sorted(found, key=lambda profile: profile.name)}


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises `UnknownProfile`."""
    try:
        return profiles()[name]
    except KeyError:
        raise UnknownProfile(f"there is no provider profile {name!r}; known: {', '.join(profiles())}") from None


@cache
def general_errors() -> tuple[KnownError, ...]:
    """The errors that are no one provider's own: of OAuth, of the way to a provider, of apps behind Scopefold."""
    return read_errors(files(__package__).joinpath("errors.toml").read_bytes())


def read_errors(text: bytes) -> tuple[KnownError, ...]:
    """The errors of such a file. Raises `msgspec.MsgspecError`."""
    return msgspec.toml.decode(text, type=_Errors).errors


def read_profiles(text: bytes) -> Iterator[Profile]:
    """The profile that a file describes, and its variants. Raises `msgspec.MsgspecError`."""
    told: dict[str, Any] = msgspec.toml.decode(text, type=dict[str, Any])
    variants: dict[str, dict[str, Any]] = told.pop("variants", {})
    yield _profile(told)
    for suffix, changes in variants.items():
        yield _profile(_laid_over(told, {"name": f"{told['name']}-{suffix}", **changes}))


def _profile(told: Mapping[str, Any]) -> Profile:
    rest = dict(told)
    hosts: dict[str, str] = rest.pop("hosts", {})
    return msgspec.convert(_filled(rest, hosts), Profile)


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Tables are joined, anything else is replaced."""
    joined = dict(below)
    for name, value in above.items():
        old = joined.get(name)
        joined[name] = _laid_over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return joined


def _filled(value: Any, hosts: Mapping[str, str]) -> Any:
    """The value with every `{host}` in every text replaced; blanks for parameters stay."""
    match value:
        case str():
            return _BLANK.sub(lambda blank: hosts.get(blank[1], blank[0]), value)
        case list():
            return [_filled(inner, hosts) for inner in value]
        case dict():
            return {_filled(name, hosts): _filled(inner, hosts) for name, inner in value.items()}
    return value
