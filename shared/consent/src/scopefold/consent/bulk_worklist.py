"""What the bulk fold's columns answer: the counts and the pages of the worklist, a row made only when it is shown."""

import heapq
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from msgspec.structs import replace

from scopefold.consent.bulk import APART, Bulk
from scopefold.consent.chosen import Chosen, Filters, Order, place_of, unclear_sets, wanted
from scopefold.consent.facts import Number, Whole
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reasons import Standing, standing_of
from scopefold.consent.reconsent import Judgement, Row, State, UserGrant, grant_key, judge, row_of
from scopefold.consent.requirements import Requirements, requirements
from scopefold.consent.shapes import sequences, with_causes
from scopefold.contracts.recorded import Cause
from scopefold.scopes.coverage import Grant, carries
from scopefold.scopes.profile import Profile

Place = tuple[str, str, str]
"""IdP, grant set, user."""

TOGETHER: Final = 1000
EVERYONE: Final = Filters()
NO_SET: Final = -1
"""Of whoever holds no grant, or was erased, or whose IdP was removed."""


class GrantSet(Struct, frozen=True):
    """A canonical grant that users hold at an IdP, how many do, and what it is worth."""

    idp: str
    key: str
    grant: Grant
    users: int
    judgement: Judgement
    profile: Profile


class Part(Struct, frozen=True):
    """A part of the worklist, and where the next part begins (None: there is none)."""

    held: tuple[tuple[UserGrant, GrantSet], ...]
    next: Place | None

    @property
    def sequences(self) -> frozenset[int]:
        """The sequences of the causes that the rows tell, of which nothing else is known here."""
        return frozenset(seq for grant, _ in self.held for seq in sequences(grant))

    def rows(self, causes: Mapping[int, Cause]) -> tuple[Row, ...]:
        """The rows. `causes` has the cause at each of `sequences`."""
        return tuple(row_of(explained(grant, causes), one.judgement, one.profile) for grant, one in self.held)


class BulkWorklist:
    """The worklist at the moment up to which `bulk` is folded. `users` are their ids, by number: an Arrow array.

    `numbered` are the grant sets that somebody holds; `set_at` has the number of the one at each place of `bulk`, or
    `NO_SET`. Holds good until `bulk` goes on.
    """

    def __init__(self, bulk: Bulk, users: Any) -> None:
        self.bulk = bulk
        self.users = users
        self._numbers = numbers = dict[tuple[str, str], int]()
        grants: list[UserGrant] = []

        def number_of(held: UserGrant | None) -> int:
            if held is None or not held.present:
                return NO_SET
            number = numbers.setdefault((held.idp, grant_key(held.grant)), len(numbers))
            if number == len(grants):
                grants.append(held)
            return number

        of_shape = np.array([number_of(shape) for shape in bulk.shapes], np.int32)
        held = bulk.shape[: bulk.count]
        self.set_at: Number = of_shape[held]
        for place, grant in bulk.apart.items():
            self.set_at[place] = number_of(grant)
        counts = np.bincount(self.set_at[self.set_at >= 0], minlength=len(grants)).tolist()
        needs: dict[str, tuple[Idp, Requirements]] = {}
        self.numbered: dict[int, GrantSet] = {}
        for (name, key), number in sorted(numbers.items()):
            if counts[number]:
                if name not in needs:
                    idp = bulk.scopes.idp(name)
                    needs[name] = idp, requirements(idp)
                idp, needed = needs[name]
                judged = judge(idp, grants[number].grant, needed)
                self.numbered[number] = GrantSet(name, key, grants[number].grant, counts[number], judged, idp.profile)
        self._order: Whole = np.argsort(self.set_at, kind="stable")
        self._ordered = self.set_at[self._order]
        self._sorted: dict[int, tuple[Any, Whole]] = {}

    @property
    def sets(self) -> tuple[GrantSet, ...]:
        """Every grant set that somebody holds, ordered by IdP and key."""
        return tuple(self.numbered.values())

    def count(self, status: str, idp: str | None = None) -> int:
        """How many users stand at this status (`missing`, `unknown`, `covered`), at one IdP or at all."""
        return sum(one.users for one in self.sets if one.judgement.status == status and idp in (None, one.idp))

    def users_with(self, idp: str, scope: str) -> int:
        """How many users' grants at an IdP carry a scope."""
        profile = self.bulk.scopes.idp(idp).profile
        return sum(one.users for one in self.sets if one.idp == idp and carries(profile, one.grant, scope))

    def ungiven(self, idp: str) -> dict[str, int]:
        """What users were asked for in vain at an IdP the last time they came, by canonical name, and how many."""
        bulk = self.bulk
        held = np.bincount(bulk.shape[: bulk.count], minlength=len(bulk.shapes)).tolist()
        grants = [(shape, users) for shape, users in zip(bulk.shapes, held, strict=True) if shape is not None]
        counted: Counter[str] = Counter()
        for grant, users in [*grants, *((one, 1) for one in bulk.apart.values())]:
            if grant.idp == idp:
                counted.update({one.scope: users for one in grant.ungiven})
        return {scope: users for scope, users in sorted(counted.items()) if users}

    def chosen_sets(self, filters: Filters) -> list[GrantSet]:
        """The grant sets whose users are on the worklist for what is asked."""
        return [one for _, one in self._wanted(filters)]

    def standing(self, one: GrantSet) -> list[tuple[Standing, int]]:
        """How all users of a grant set stand, and how many so."""
        _, places = self._members(self._numbers[one.idp, one.key])
        shapes = self.bulk.shape[places]
        found: Counter[Standing] = Counter()
        for number, users in zip(*(part.tolist() for part in np.unique(shapes, return_counts=True)), strict=True):
            if (shape := self.bulk.shapes[number]) is not None:
                found[standing_of(shape)] += users
        for place in places[shapes == APART].tolist():
            found[standing_of(self.bulk.apart[place])] += 1
        return sorted(found.items())

    def count_of(self, chosen: Chosen) -> int:
        """How many rows a choice has. Where it asks for users or ages, these are looked at one by one."""
        if chosen.users is None and not chosen.aged:
            return sum(one.users for one in self.chosen_sets(chosen.filters))
        return sum(1 for _ in self._chosen(chosen))

    def unclear(self, chosen: Chosen) -> int:
        """Of how many users of a choice it is not known whether they lack what is asked for."""
        sets = unclear_sets(self.bulk.scopes, self.sets, chosen)
        if chosen.users is None:
            return sum(one.users for one in sets)
        return sum(1 for _ in self._of_users(chosen.users, {self._numbers[one.idp, one.key]: one for one in sets}))

    def listed(self, chosen: Chosen, order: Order, limit: int | None = None) -> Iterator[Part]:
        """The first rows of a choice in an order, or all of them.

        In any order but the pages' own, and where users or ages are asked for, all users of the grant sets are looked
        at, and as many are held at a time as are listed.
        """
        if order == "idp" and chosen.users is None and not chosen.aged:
            if limit is None:
                yield from self.parts(chosen.filters)
            else:
                yield self.page(filters=chosen.filters, limit=limit)
            return
        placed = ((place_of(order, one.key, row), held, one) for row, held, one in self._chosen(chosen))
        first = itemgetter(0)
        found = sorted(placed, key=first) if limit is None else heapq.nsmallest(limit, placed, key=first)
        yield Part(tuple((held, one) for _, held, one in found), None)

    def _chosen(self, chosen: Chosen) -> Iterator[tuple[Row, UserGrant, GrantSet]]:
        """The rows of a choice, of whose causes the sequence alone is right; and what they are made of."""
        held = (
            (pair for part in self.parts(chosen.filters) for pair in part.held)
            if chosen.users is None
            else self._of_users(chosen.users, dict(self._wanted(chosen.filters)))
        )
        for grant, one in held:
            if chosen.has(row := row_of(grant, one.judgement, one.profile)):
                yield row, grant, one

    def _of_users(self, users: tuple[str, ...], sets: Mapping[int, GrantSet]) -> Iterator[tuple[UserGrant, GrantSet]]:
        for number in np.flatnonzero(pc.is_in(self.users, value_set=pa.array(users, pa.string()))).tolist():
            for known in self.bulk.places.values():
                place = int(known[number]) if number < len(known) else -1
                if place >= 0 and (one := sets.get(int(self.set_at[place]))) is not None:
                    grant = self.bulk.grant(place, name := self.users[number].as_py())
                    assert grant is not None
                    yield replace(grant, user=name), one

    def page(self, *, filters: Filters = EVERYONE, after: Place | None = None, limit: int) -> Part:
        """Rows, ordered by IdP, grant set and user, after the place that `after` names."""
        found: list[tuple[UserGrant, GrantSet]] = []
        for number, one in self._wanted(filters):
            place = (one.idp, one.key)
            if after is not None and place < after[:2]:
                continue
            names, places = self._members(number)
            start = bisect_right(names, after[2], key=_text) if after is not None and place == after[:2] else 0
            found += self._held(one, names, places, slice(start, start + limit + 1 - len(found)))
            if len(found) > limit:
                last, of = found[limit - 1]
                return Part(tuple(found[:limit]), (of.idp, of.key, last.user))
        return Part(tuple(found), None)

    def parts(self, filters: Filters = EVERYONE) -> Iterator[Part]:
        """The whole worklist, in the order of its pages."""
        for number, one in self._wanted(filters):
            names, places = self._members(number)
            for start in range(0, len(places), TOGETHER):
                yield Part(tuple(self._held(one, names, places, slice(start, start + TOGETHER))), None)

    def state(self, causes: Mapping[int, Cause]) -> State:
        """All of it as the fold one by one has it: an object for every user."""
        grants = {(held.idp, held.user): explained(held, causes) for held in self.grants()}
        return State(self.bulk.scopes, grants)

    def grants(self) -> Iterator[UserGrant]:
        """What everybody holds, and who was erased. Causes are known by their sequence alone."""
        for number, one in self.numbered.items():
            names, places = self._members(number)
            for start in range(0, len(places), TOGETHER):
                yield from (held for held, _ in self._held(one, names, places, slice(start, start + TOGETHER)))
        for place in np.flatnonzero(self.set_at == NO_SET).tolist():
            if (gone := self.bulk.grant(place, "")) is not None:
                yield replace(gone, user=self.users[int(self.bulk.user[place])].as_py())

    def _wanted(self, filters: Filters) -> Iterator[tuple[int, GrantSet]]:
        for number, one in self.numbered.items():
            if wanted(self.bulk.scopes.idp(one.idp), one.judgement, filters):
                yield number, one

    def _members(self, number: int) -> tuple[Any, Whole]:
        """The users who hold a grant set, in the order of their ids: these, and their places."""
        if number not in self._sorted:
            begin, end = np.searchsorted(self._ordered, [number, number + 1])
            places = self._order[begin:end]
            names = self.users.take(self.bulk.user[places])
            order = pc.sort_indices(names)
            self._sorted[number] = names.take(order), places[order.to_numpy()]
        return self._sorted[number]

    def _held(self, one: GrantSet, names: Any, places: Whole, part: slice) -> list[tuple[UserGrant, GrantSet]]:
        found = []
        for name, place in zip(names[part].to_pylist(), places[part].tolist(), strict=True):
            grant = self.bulk.grant(place, name)
            assert grant is not None
            found.append((replace(grant, user=name), one))
        return found


def explained(grant: UserGrant, known: Mapping[int, Cause]) -> UserGrant:
    """A grant with its causes, of which the bulk fold has the sequence alone. `known` has them by that."""
    return with_causes(grant, lambda cause: known[cause.seq])


def _text(scalar: Any) -> str:
    return str(scalar.as_py())
