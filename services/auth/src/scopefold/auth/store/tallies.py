"""The worklist counted: by IdP, connector, scope, and why. It looks at grant sets alone, never at users."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from scopefold.auth.core.worklist import Filters
from scopefold.auth.store.listing import chosen_sets
from scopefold.auth.store.projection import Projection
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reasons import Standing, reasons, standing_of
from scopefold.consent.reconsent import Lack, Row
from scopefold.consent.ungiven import Why

By = Literal["idp", "connector", "scope", "why"]


class Tally(Struct, frozen=True, order=True):
    """How many users of an IdP are on the worklist for this. An empty name: for the IdP's own base scopes."""

    idp: str
    name: str
    users: int


class Reasons:
    """Why grants lack scopes, each scope of an IdP counted once."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._users: dict[tuple[str, str], tuple[int, int]] = {}
        self._ungiven: dict[str, dict[str, int]] = {}

    def of(self, row: Row) -> dict[str, Why]:
        """By scope, why this user's grant lacks it."""
        return self.why(row.idp, row.missing, standing_of(row))

    def why(self, idp: str, lacks: Iterable[Lack], standing: Standing) -> dict[str, Why]:
        """By scope, why the grant of whoever stands so lacks it."""
        profile = (self._projection.scopes.idps.get(idp) or Idp(idp)).profile
        return reasons(lacks, standing, profile, lambda name: self._counted(idp, name))

    def _counted(self, idp: str, name: str) -> tuple[int, int]:
        if idp not in self._ungiven:
            self._ungiven[idp] = self._projection.ungiven(idp)
        if (idp, name) not in self._users:
            self._users[idp, name] = (self._projection.users_with(idp, name), self._ungiven[idp].get(name, 0))
        return self._users[idp, name]


def tallies(projection: Projection, filters: Filters, by: By) -> list[Tally]:
    """The rows that these filters leave, counted. A row counts once for each connector, scope or reason that it has."""
    found: Counter[tuple[str, str]] = Counter()
    found_why = Reasons(projection)
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
