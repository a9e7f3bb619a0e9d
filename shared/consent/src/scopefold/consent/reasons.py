"""Why does each scope on a user's row of the worklist lack? Counted over the users of its IdP, each scope once."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from scopefold.consent import idp_scopes
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
    disproved: tuple[str, ...] = ()
    cleared: bool = False
    declined: tuple[str, ...] = ()
    not_renewed: tuple[str, ...] = ()


def standing_of(grant: UserGrant | Row) -> Standing:
    """How a user stands."""
    if not (grant.ungiven or grant.disproved or grant.cleared or grant.declined or grant.not_renewed):
        return Standing()
    ungiven = tuple(one.scope for one in grant.ungiven)
    declined = grant.declined.scopes if grant.declined else ()
    return Standing(ungiven, grant.disproved, grant.cleared is not None, declined, grant.not_renewed)


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
            declined=standing.declined,
            not_renewed=standing.not_renewed,
            disproved=standing.disproved,
            users_with=users_with,
            users_without=users_without,
        )
    return told


class Reasons:
    """Why grants lack scopes, each scope of an IdP counted once, however many rows are asked about.

    `users_with` says how many users' grants at an IdP carry a scope, `ungiven` what users there were asked for in vain,
    and how many.
    """

    def __init__(
        self,
        scopes: idp_scopes.State,
        *,
        users_with: Callable[[str, str], int],
        ungiven: Callable[[str], Mapping[str, int]],
    ) -> None:
        self._scopes = scopes
        self._users_with = users_with
        self._ungiven_at = ungiven
        self._ungiven: dict[str, Mapping[str, int]] = {}
        self._users: dict[tuple[str, str], tuple[int, int]] = {}

    def of(self, row: Row) -> dict[str, Why]:
        """By scope, why this user's grant lacks it."""
        return self.why(row.idp, row.missing, standing_of(row))

    def why(self, idp: str, lacks: Iterable[Lack], standing: Standing) -> dict[str, Why]:
        """By scope, why the grant of whoever stands so lacks it."""
        profile = self._scopes.idp(idp).profile
        return reasons(lacks, standing, profile, lambda name: self._counted(idp, name))

    def _counted(self, idp: str, name: str) -> tuple[int, int]:
        if idp not in self._ungiven:
            self._ungiven[idp] = self._ungiven_at(idp)
        if (idp, name) not in self._users:
            self._users[idp, name] = (self._users_with(idp, name), self._ungiven[idp].get(name, 0))
        return self._users[idp, name]


def reasons_in(state: State) -> Reasons:
    """Why grants lack scopes, in a state: counted over all its users."""
    sets: dict[tuple[str, str], tuple[Grant, int]] = {}
    without: dict[str, Counter[str]] = {}
    for held in state.present():
        key = (held.idp, grant_key(held.grant))
        sets[key] = (held.grant, sets.get(key, (held.grant, 0))[1] + 1)
        without.setdefault(held.idp, Counter()).update(one.scope for one in held.ungiven)

    def users_with(idp: str, name: str) -> int:
        profile = state.scopes.idp(idp).profile
        return sum(users for (at, _), (grant, users) in sets.items() if at == idp and carries(profile, grant, name))

    return Reasons(state.scopes, users_with=users_with, ungiven=lambda idp: without.get(idp, {}))
