"""Removing an IdP: what an operator orders, and the event that it comes to."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import IdpRemoved


class RemoveIdp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Remove the IdP, with what is provisioned there and all tokens of it: a bounded part of it at a time."""

    dry_run: Annotated[bool, Meta(description="Change nothing, tell what would be gone.")] = False
    revoke: Annotated[
        bool, Meta(description="Ask the IdP to end each token, too, where it has a way: nobody can later.")
    ] = True
    after: Annotated[int, Meta(ge=0, description="The `next` of the answer before; 0: from the beginning.")] = 0


def remove(idp: Idp | None) -> IdpRemoved | None:
    """The event after which there is no such IdP; None where there is none."""
    return None if idp is None or idp.registration is None else IdpRemoved(idp=idp.idp, by="operator")
