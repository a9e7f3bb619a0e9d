"""Which connectors want each scope of an IdP's union, since when, and which scopes does nobody want any more?"""

from collections.abc import Mapping

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp, Want
from scopefold.consent.origins import Origin
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.lint import Finding, lint


class Attributed(Struct, frozen=True):
    """One scope of a union: who wants it, and the event that brought it in."""

    scope: str
    wanted_by: tuple[Want, ...]
    origin: Origin


def attributed(idp: Idp) -> tuple[Attributed, ...]:
    """Every scope of the union, in its order."""
    wants = idp.wants
    return tuple(
        Attributed(scope, wants.get(canonical_name(idp.profile, scope), ()), idp.origins[scope]) for scope in idp.union
    )


def unwanted(idp: Idp) -> tuple[str, ...]:
    """The scopes of the union that nobody wants any more, in its order."""
    return tuple(scope for scope in idp.union if idp.origins[scope].unwanted_since is not None)


def asks(idp: Idp, instead: Mapping[str, tuple[str, ...]] = {}) -> dict[str, tuple[str, ...]]:
    """Who asks for which scopes at an IdP, for a look at what is wrong with them together.

    `instead` is what some connectors would ask for, in place of what they ask for now.
    """
    found = {one.connector: one.upstream_scopes for one in idp.connectors.values()} | dict(instead)
    if idp.registration is not None:
        found[f"the base scopes of {idp.idp}"] = idp.registration.event.base_scopes
    asked = {scope for scopes in found.values() for scope in scopes}
    found[f"what was provisioned before at {idp.idp}"] = tuple(scope for scope in idp.union if scope not in asked)
    return found


def new_findings(before: Idp, after: Idp) -> tuple[Finding, ...]:
    """What would be wrong with all that an IdP is asked for, and is not so already."""
    known = {one.says for one in lint(before.profile, asks(before))}
    return tuple(one for one in lint(after.profile, asks(after)) if one.says not in known)
