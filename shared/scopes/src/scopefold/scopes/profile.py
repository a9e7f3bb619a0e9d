"""Provider profiles: what one kind of identity provider is like, as data.

A profile is a TOML file in `profiles/`, part of this package. Every fact in one cites the provider's own
document or says that it was only observed.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct


class Endpoints(Struct, frozen=True, forbid_unknown_fields=True):
    """Absolute addresses of the provider's OAuth endpoints."""

    authorize: str
    token: str
    identity: str


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Which members of the identity endpoint's JSON answer say who the user is."""

    subject: str
    email: str
    name: str


class RefreshClock(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a refresh token lives. None where the provider sets no such limit."""

    idle_seconds: int | None = None
    absolute_seconds: int | None = None


class Profile(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of identity provider."""

    name: str
    title: str
    endpoints: Endpoints
    identity: Identity
    request_separator: Annotated[str, Meta(description="Joins scopes in the authorize request.")] = " "
    response_separators: Annotated[str, Meta(description="Characters that part scopes in a token response.")] = " "
    token_format: Literal["form", "json"] = "form"
    client_authentication: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    authorize_params: Mapping[str, str] = {}
    aliases: Annotated[Mapping[str, str], Meta(description="Other spelling to canonical spelling.")] = {}
    implies: Annotated[Mapping[str, tuple[str, ...]], Meta(description="Scope to what it also grants.")] = {}
    unsupported: Annotated[
        frozenset[str], Meta(description="Scopes that this provider refuses; left out of requests and requirements.")
    ] = frozenset()
    virtual: Annotated[
        Mapping[str, str], Meta(description="Scope that is not reliably echoed, to the evidence that stands for it.")
    ] = {}
    identity_scopes: Annotated[
        tuple[str, ...], Meta(description="Always requested: without them the identity endpoint refuses.")
    ] = ()
    grant_update: Annotated[
        Literal["replace", "accumulate"], Meta(description="What a new grant does to the one before it.")
    ] = "replace"
    refresh: RefreshClock = RefreshClock()

    def __hash__(self) -> int:
        """By name, so that answers can be kept by profile; equality still looks at everything."""
        return hash(self.name)


class UnknownProfile(LookupError):
    """There is no profile of this name."""


@cache
def profiles() -> Mapping[str, Profile]:
    """All profiles that ship with this package, by name, in the order of their names."""
    folder = files(__package__).joinpath("profiles")
    texts = [entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".toml")]
    found = [msgspec.toml.decode(text, type=Profile) for text in texts]
    return {profile.name: profile for profile in sorted(found, key=lambda profile: profile.name)}


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises `UnknownProfile`."""
    try:
        return profiles()[name]
    except KeyError:
        raise UnknownProfile(f"there is no provider profile {name!r}; known: {', '.join(profiles())}") from None


PLAIN: Final = Profile(
    name="plain",
    title="Unknown provider",
    endpoints=Endpoints(authorize="", token="", identity=""),
    identity=Identity(subject="sub", email="email", name="name"),
)
"""Stands in where a log names a profile that this version does not ship: every scope means itself."""
