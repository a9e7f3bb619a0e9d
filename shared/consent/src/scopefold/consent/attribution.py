"""Which connectors want each scope of an IdP's union, since when, and which scopes does nobody want any more?"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp, Want
from scopefold.consent.origins import Origin
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.lint import Finding, lint
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import to_request, union


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


def base_of(idp: str) -> str:
    """An IdP's base scopes, among those who ask for scopes."""
    return f"the base scopes of {idp}"


def asks(idp: Idp, instead: Mapping[str, tuple[str, ...]] = {}) -> dict[str, tuple[str, ...]]:
    """Who asks for which scopes at an IdP, for a look at what is wrong with them together.

    `instead` is what some connectors, or the base scopes, would ask for in place of what they ask for now.
    """
    found = {one.connector: one.upstream_scopes for one in idp.connectors.values()} | dict(instead)
    if idp.registration is not None:
        found.setdefault(base_of(idp.idp), idp.registration.event.base_scopes)
    asked = {scope for scopes in found.values() for scope in scopes}
    found[f"what was provisioned before at {idp.idp}"] = tuple(scope for scope in idp.union if scope not in asked)
    return found


def new_findings(before: Idp, after: Idp) -> tuple[Finding, ...]:
    """What would be wrong with all that an IdP is asked for, and is not so already."""
    known = {one.says for one in lint(before.profile, asks(before))}
    return tuple(one for one in lint(after.profile, asks(after)) if one.says not in known)


def more_than_fits(profile: Profile, union_now: Iterable[str], more: Iterable[str]) -> int | None:
    """How many scopes a login would ask for with some more, where it could not; None where it could, or asks for all
    of them already.
    """
    now = to_request(profile, union_now)
    then = to_request(profile, union(union_now, more))
    return None if len(then) <= MAX_SCOPES or set(then) <= set(now) else len(then)
