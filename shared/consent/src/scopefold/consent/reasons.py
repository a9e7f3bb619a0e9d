"""Why does each scope on a user's row of the worklist lack? Counted over the users of its IdP, each scope once."""

from collections import Counter
from collections.abc import Callable

from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Row, State, grant_key
from scopefold.consent.ungiven import Why, why
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.coverage import Grant, carries
from scopefold.scopes.profile import Profile

Counted = Callable[[str], tuple[int, int]]
"""How many users at the IdP were given a scope, by its canonical name, and how many were asked in vain."""


def reasons(row: Row, profile: Profile, counted: Counted) -> dict[str, Why]:
    """By scope, why this user's grant lacks it."""
    if row.cleared is not None:
        return dict.fromkeys((lack.scope for lack in row.missing), "cleared")
    reported = [scope for report in row.reports for scope in report.missing]
    told: dict[str, Why] = {}
    for lack in row.missing:
        users_with, users_without = counted(canonical_name(profile, lack.scope))
        told[lack.scope] = why(
            profile,
            lack.scope,
            row.ungiven,
            reported=reported,
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
        for held in state.grants.values():
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

        return reasons(row, profile, counted)
