"""Taking scopes out of an IdP's union that nobody wants there any more."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.withholding import of_the_union
from scopefold.consent.attribution import unwanted
from scopefold.consent.idp_scopes import Idp, Want
from scopefold.contracts.events import ScopesPruned
from scopefold.contracts.words import MAX_SCOPES, Scopes
from scopefold.scopes.canonical import canonical_name


class Prune(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take scopes out of the union: where none are named, all that nobody wants any more."""

    scopes: Annotated[Scopes, Meta(description="Scopes of the IdP's union that nobody wants.")] = ()
    dry_run: Annotated[bool, Meta(description="Change nothing, only refuse what would be refused.")] = False


def prune(idp: Idp, command: Prune) -> ScopesPruned | Refused | None:
    """The event after which the scopes are no longer in the union; None where nobody wants none of it."""
    scopes = (
        of_the_union(idp, command.scopes) if command.scopes else unwanted(idp)[:MAX_SCOPES]
    )  # more: the order is given again
    if isinstance(scopes, Refused):
        return scopes
    wants = idp.wants
    wanted = {scope: wants.get(canonical_name(idp.profile, scope), ()) for scope in scopes}
    if any(wanted.values()):
        detail = "; ".join(f"{scope}, by {_all_of(by)}" for scope, by in wanted.items() if by)
        return Refused("still-wanted", "Somebody wants what would be pruned", f"{detail}. Nothing was pruned.")
    return ScopesPruned(idp=idp.idp, scopes=scopes, by="operator") if scopes else None


def _all_of(by: tuple[Want, ...]) -> str:
    return " and ".join(
        "the IdP's own base scopes"
        if one.connector is None
        else f"{one.connector}{' as one of several lists' if one.how == 'any-of' else ''}"
        for one in by
    )
