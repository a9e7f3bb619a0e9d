"""Why does each scope on a user's row of the worklist lack? Counted over the users of its IdP, each scope once."""

from collections import Counter
from collections.abc import Callable, Iterable

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Lack, Row, State, UserGrant, grant_key
from scopefold.consent.ungiven import Why, why
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.coverage import Grant, carries
from scopefold.scopes.profile import Profile

Counted = Callable[[str], tuple[int, int]]
"""How many users at the IdP were given a scope, by its canonical name, and how many were asked in vain."""


class Standing(Struct, frozen=True, order=True, array_like=True):
    """What of a user, beside the grant set, says why the grant lacks something. Most users stand by default."""

    ungiven: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    cleared: bool = False


def standing_of(grant: UserGrant | Row) -> Standing:
    """How a user stands."""
    if not (grant.ungiven or grant.reports or grant.cleared):
        return Standing()
    reported = sorted({scope for report in grant.reports for scope in report.missing})
    return Standing(tuple(one.scope for one in grant.ungiven), tuple(reported), grant.cleared is not None)


def reasons(lacks: Iterable[Lack], standing: Standing, profile: Profile, counted: Counted) -> dict[str, Why]:
    """By scope, why the grant of whoever stands so lacks it."""
    if standing.cleared:
        return dict.fromkeys((lack.scope for lack in lacks), "cleared")
    told: dict[str, Why] = {}
    for lack in lacks:
        users_with, users_without = counted(canonical_name(profile, lack.scope))
        told[lack.scope] = why(
            profile,
            lack.scope,
            standing.ungiven,
            reported=standing.reported,
            users_with=users_with,
            users_without=users_without,
        )
    return told


class Counts:
    """The counts over a state, for all its rows."""

    def __init__(self, state: State) -> None:
        self._idps = state.scopes.idps
        self._sets: dict[tuple[str, str], tuple[Grant, int]] = {}
        self._without: Counter[tuple[str, str]] = Counter()
        self._found: dict[tuple[str, str], tuple[int, int]] = {}
        for held in state.present():
            key = (held.idp, grant_key(held.grant))
            self._sets[key] = (held.grant, self._sets.get(key, (held.grant, 0))[1] + 1)
            for one in held.ungiven:
                self._without[held.idp, one.scope] += 1

    def reasons(self, row: Row) -> dict[str, Why]:
        """By scope, why this row's grant lacks it."""
        profile = (self._idps.get(row.idp) or Idp(row.idp)).profile

        def counted(name: str) -> tuple[int, int]:
            if (row.idp, name) not in self._found:
                having = (
                    users for (idp, _), (grant, users) in self._sets.items()
                    if idp == row.idp and carries(profile, grant, name)
                )  # fmt: skip
                self._found[row.idp, name] = (sum(having), self._without[row.idp, name])
            return self._found[row.idp, name]

        return reasons(row.missing, standing_of(row), profile, counted)
