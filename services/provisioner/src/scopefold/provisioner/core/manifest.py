"""What a connector says of itself: its manifest."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.contracts.events import Text
from scopefold.contracts.words import ConnectorId, ProfileName, Scope, Url
from scopefold.scopes.shipped import profiles

AllOf = Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=300, description="Scopes that are all needed.")]


class AnyOf(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Several lists of scopes, of which any one serves. Users are asked for the first; a grant of another will do."""

    any_of: Annotated[
        tuple[AllOf, ...], Meta(min_length=2, max_length=21, description="The first is what users are asked for.")
    ]


class Passthrough(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every call acts as the signed-in user, with a token that carries these scopes."""

    upstream_scopes: Annotated[AllOf | AnyOf, Meta(description="What the connector's users need.")]

    @property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """The lists of scopes of which any one serves; a plain list is the only one."""
        return self.upstream_scopes.any_of if isinstance(self.upstream_scopes, AnyOf) else (self.upstream_scopes,)

    @property
    def asked(self) -> tuple[str, ...]:
        """What users are asked for."""
        return self.lists[0]

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """The lists that serve in place of what is asked for."""
        return self.lists[1:]


class AuthOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How calls of the connector may be authenticated upstream. A mode that is absent is not offered."""

    idp_passthrough: Passthrough | None = None


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to read more."""

    title: Text
    url: Url


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connector, its version, and what it needs of an IdP of one of its provider profiles."""

    connector: ConnectorId
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}(?![\s\S])", examples=["1.2.0"])]
    title: Annotated[str, Meta(min_length=1, max_length=300, description="The connector's name for people.")]
    description: Annotated[str, Meta(max_length=1000)]
    profiles: Annotated[
        tuple[ProfileName, ...],
        Meta(min_length=1, max_length=20, description="The profiles of which an IdP must have one to serve it."),
    ]
    auth: AuthOptions
    notes: Annotated[tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=20)] = ()
    links: Annotated[tuple[Link, ...], Meta(max_length=20)] = ()


def fitting_profiles(manifest: Manifest) -> tuple[str, ...]:
    """The profiles that the manifest names, and those whose scopes are by their own word the same as one's of them."""
    alike = (name for name, profile in profiles().items() if profile.same_scopes_as in manifest.profiles)
    return tuple(dict.fromkeys((*manifest.profiles, *alike)))
