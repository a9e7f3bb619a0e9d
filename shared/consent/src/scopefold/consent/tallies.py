"""The worklist counted: by IdP, connector, scope, and why. It looks at grant sets alone, never at users."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from msgspec import Struct

from scopefold.consent.chosen import HeldSet
from scopefold.consent.reasons import Reasons, Standing

By = Literal["idp", "connector", "scope", "why"]


class Tally(Struct, frozen=True, order=True):
    """How many users of an IdP are on the worklist for this. An empty name: for the IdP's own base scopes."""

    idp: str
    name: str
    users: int


_Set = TypeVar("_Set", bound=HeldSet)


def tallies(
    chosen: Iterable[_Set], by: By, reasons: Reasons, standing: Callable[[_Set], Iterable[tuple[Standing, int]]]
) -> list[Tally]:
    """Rows of these grant sets, counted. A row counts once for each connector, scope or reason that it has.

    `standing` says how all the users of a grant set stand, and how many so.
    """
    found: Counter[tuple[str, str]] = Counter()
    for one in chosen:
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
                for stands, users in standing(one):
                    told: set[str] = set(reasons.why(one.idp, lacks, stands).values())
                    found.update(dict.fromkeys(((one.idp, name) for name in told), users))
                continue
        found.update(dict.fromkeys(((one.idp, name) for name in names), one.users))
    return sorted(Tally(*key, users) for key, users in found.items())
