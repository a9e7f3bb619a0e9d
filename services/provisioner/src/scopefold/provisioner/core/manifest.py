"""What a connector says of itself: its manifest."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.contracts.events import Text
from scopefold.contracts.words import ConnectorId, ProfileName, Scope, Url
from scopefold.scopes.lint import lint
from scopefold.scopes.shipped import UnknownProfile, profile_named, profiles


class Passthrough(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every call acts as the signed-in user, with a token that carries these scopes."""

    upstream_scopes: Annotated[
        tuple[Scope, ...], Meta(min_length=1, max_length=300, description="What the connector's users need.")
    ]


class AuthOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How calls of the connector may be authenticated upstream. A mode that is absent is not offered."""

    idp_passthrough: Passthrough | None = None


class Link(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to read more."""

    title: Text
    url: Url


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connector, its version, and what it needs of an IdP of one provider profile."""

    connector: ConnectorId
    version: Annotated[str, Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}(?![\s\S])", examples=["1.2.0"])]
    title: Annotated[str, Meta(min_length=1, max_length=300, description="The connector's name for people.")]
    description: Annotated[str, Meta(max_length=1000)]
    profile: Annotated[ProfileName, Meta(description="The profile that an IdP must have to serve this connector.")]
    auth: AuthOptions
    notes: Annotated[tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=20)] = ()
    links: Annotated[tuple[Link, ...], Meta(max_length=20)] = ()


def fault_in(manifest: Manifest) -> str | None:
    """What is wrong with a manifest that is well-formed: the field and why; None where nothing is."""
    try:
        profile = profile_named(manifest.profile)
    except UnknownProfile as error:
        return f"profile: {error}"
    if manifest.auth.idp_passthrough is None:
        return None
    scopes = manifest.auth.idp_passthrough.upstream_scopes
    where = "auth.idp_passthrough.upstream_scopes"
    if twice := sorted({scope for scope in scopes if scopes.count(scope) > 1}):
        return f"{where}: listed twice: {', '.join(twice)}"
    if refused := [scope for scope in scopes if scope in profile.unsupported]:
        return f"{where}: {profile.title} refuses {', '.join(refused)}; take them out"
    for finding in lint(profile, {manifest.connector: scopes}, profiles().values()):
        if finding.severity == "hard":
            return f"{where}: {finding.says}"
    return None
