"""Which tokens an operator wants cleared, and which of those that were found still are so."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.stored_token import StoredToken
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.named import is_asked_for
from scopefold.contracts.words import IdpId, Scope, UserId
from scopefold.scopes.coverage import Grant, canonical_grant, carries
from scopefold.scopes.update import taken_as_told

MOST_USERS = 1000
Place = Annotated[str, Meta(max_length=200, description="`IDP USER`: the last one that was looked at.")]


class ClearTokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Clear the tokens that all of this is true of. At least one of the first four says which."""

    users: Annotated[tuple[UserId, ...], Meta(min_length=1, max_length=MOST_USERS)] | None = None
    idp: IdpId | None = None
    connector: (
        Annotated[
            str, Meta(max_length=300, description="Those of the IdP of this connector: its id, or its resource type.")
        ]
        | None
    ) = None
    missing_scope: (
        Annotated[Scope, Meta(description="Those that do not carry this scope, at IdPs where it is asked for.")] | None
    ) = None
    reason: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=500,
            pattern=r"^[^\x00-\x1f\x7f]+(?![\s\S])",
            description="For the service's log lines, and for nothing else: the event log holds no free text.",
        ),
    ]
    dry_run: Annotated[bool, Meta(description="Change nothing, tell how many it would be.")] = False
    revoke: Annotated[bool, Meta(description="Ask the IdP to end each token, too, where it has a way.")] = False
    after: Place | None = None


class Wanted(Struct, frozen=True):
    """Whose tokens to look at. None: whoever's, wherever, whatever they carry."""

    users: tuple[str, ...] | None
    idps: tuple[str, ...] | None
    missing_scope: str | None


def wanted(idps: Mapping[str, Idp], asked: ClearTokens) -> Wanted | Refused:
    """What an operator's words mean now. Words that mean nothing are refused: `all` must not come of a mistake."""
    if asked.users is None and asked.idp is None and asked.connector is None and asked.missing_scope is None:
        detail = "Name users, an IdP, a connector or a missing scope: nothing here clears every token that there is."
        return Refused("clears-everything", "Nothing says which tokens", detail)
    if asked.idp is not None and asked.idp not in idps:
        return Refused("unknown-idp", "There is no such identity provider", f"Known are: {_list(idps)}.")
    there = None if asked.idp is None else {asked.idp}
    if asked.connector is not None:
        serving = {
            name
            for name, idp in idps.items()
            for one in idp.connectors.values()
            if asked.connector in (one.connector, one.resource_type)
        }
        if not serving:
            known = sorted({one.connector for idp in idps.values() for one in idp.connectors.values()})
            detail = f"Provisioned are: {_list(known)}."
            return Refused("unknown-connector", "No identity provider serves this connector", detail)
        there = serving if there is None else there & serving
    if asked.missing_scope is not None:
        looked_at = [idp for name, idp in idps.items() if there is None or name in there]
        # Everybody lacks what nobody is asked for: no token goes for a scope that means nothing at its IdP.
        there = {idp.idp for idp in looked_at if is_asked_for(idp, asked.missing_scope)}
        if not there:
            known = sorted({scope for idp in looked_at for scope in idp.wants})
            detail = f"{asked.missing_scope[:80]}, which everybody lacks. Needed are: {_list(known)}."
            return Refused("unknown-scope", "Nobody needs such a scope", detail)
    return Wanted(asked.users, None if there is None else tuple(sorted(there)), asked.missing_scope)


def still_lacks(idp: Idp, row: StoredToken, scope: str) -> bool:
    """Does the vault's row lack the scope? The user may have consented since the log was folded."""
    told = Grant(taken_as_told(idp.profile, row.granted, row.requested), row.evidence)
    return not carries(idp.profile, canonical_grant(idp.profile, told), scope)


def _list(names: Mapping[str, Idp] | list[str]) -> str:
    return ", ".join(sorted(names)[:20]) or "none"
