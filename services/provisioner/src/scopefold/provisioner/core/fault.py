"""What is wrong with a manifest that is well-formed?"""

from collections import Counter
from typing import Final

from scopefold.provisioner.core.manifest import AnyOf, Manifest, Passthrough
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.classify import kind_of
from scopefold.scopes.lint import lint
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import UnknownProfile, profile_named, profiles

_SCOPES: Final = "auth.idp_passthrough.upstream_scopes"


def fault_in(manifest: Manifest) -> str | None:
    """The first fault: the field and what is wrong with it; None where nothing is.

    The scopes must stand at every profile, and of several lists each, though only the first is asked for.
    """
    if twice := [name for name, times in Counter(manifest.profiles).items() if times > 1]:
        return f"profiles: listed twice: {', '.join(twice)}"
    for place, name in enumerate(manifest.profiles):
        try:
            profile = profile_named(name)
        except UnknownProfile as error:
            return f"profiles[{place}]: {error}"
        needed = manifest.auth.idp_passthrough
        if needed is not None and (fault := _at_profile(profile, manifest.connector, needed)) is not None:
            return fault
    return None


def _at_profile(profile: Profile, connector: str, needed: Passthrough) -> str | None:
    several = isinstance(needed.upstream_scopes, AnyOf)
    for place, scopes in enumerate(needed.lists):
        fault = _in_list(profile, connector, scopes)
        if fault is None and several:
            fault = _among_lists(profile, needed.lists[:place], scopes)
        if fault is not None:
            return f"{_SCOPES}.any_of[{place}]: {fault}" if several else f"{_SCOPES}: {fault}"
    return None


def _in_list(profile: Profile, connector: str, scopes: tuple[str, ...]) -> str | None:
    names = Counter(canonical_name(profile, scope) for scope in scopes)
    if twice := [scope for scope in dict.fromkeys(scopes) if names[canonical_name(profile, scope)] > 1]:
        return f"listed twice: {', '.join(twice)}"
    if refused := [scope for scope in scopes if kind_of(profile, scope) == "unsupported"]:
        return f"{profile.title} refuses {', '.join(refused)}; take them out"
    for finding in lint(profile, {connector: scopes}, profiles().values()):
        if finding.severity == "hard":
            return finding.says
    return None


def _among_lists(profile: Profile, before: tuple[tuple[str, ...], ...], scopes: tuple[str, ...]) -> str | None:
    """What would make a grant serve that cannot, or a list that never makes a difference."""
    if directives := [scope for scope in scopes if kind_of(profile, scope) == "directive"]:
        return f"{', '.join(directives)} is met by any grant, so no list beside it would matter; name the scopes"
    names = {canonical_name(profile, scope) for scope in scopes}
    if not before:
        return None
    virtual = [scope for scope in before[0] if kind_of(profile, scope) == "virtual"]
    if lost := [scope for scope in virtual if canonical_name(profile, scope) not in names]:
        return f"lacks {', '.join(lost)}, which any_of[0] has and no other scope stands in for; add it"
    for place, other in enumerate(before):
        if names >= {canonical_name(profile, scope) for scope in other}:
            return f"needs all that any_of[{place}] needs, so it never makes a difference; take it out"
    return None
