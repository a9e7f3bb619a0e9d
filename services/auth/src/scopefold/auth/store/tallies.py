"""The worklist counted: by IdP, connector, scope, and why. It looks at grant sets alone, never at users."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from scopefold.auth.core.worklist import Filters
from scopefold.auth.store.listing import chosen_sets
from scopefold.auth.store.projection import Projection
from scopefold.consent.reasons import Reasons

By = Literal["idp", "connector", "scope", "why"]


class Tally(Struct, frozen=True, order=True):
    """How many users of an IdP are on the worklist for this. An empty name: for the IdP's own base scopes."""

    idp: str
    name: str
    users: int


def reasons_of(projection: Projection) -> Reasons:
    """Why grants lack scopes, as this projection has it."""
    return Reasons(projection.scopes.idps, users_with=projection.users_with, ungiven=projection.ungiven)


def tallies(projection: Projection, filters: Filters, by: By) -> list[Tally]:
    """The rows that these filters leave, counted. A row counts once for each connector, scope or reason that it has."""
    found: Counter[tuple[str, str]] = Counter()
    found_why = reasons_of(projection)
    for one in chosen_sets(projection, filters):
        lacks = one.judgement.lacks
        names: Iterable[str]
        match by:
            case "idp":
                names = {one.idp}
            case "connector":
                names = {because.connector or "" for lack in lacks for because in lack.because}
            case "scope":
                names = {lack.scope for lack in lacks}
            case "why":
                for standing, users in one.standing():
                    told: set[str] = set(found_why.why(one.idp, lacks, standing).values())
                    found.update(dict.fromkeys(((one.idp, name) for name in told), users))
                continue
        found.update(dict.fromkeys(((one.idp, name) for name in names), one.users))
    return sorted(Tally(*key, users) for key, users in found.items())
