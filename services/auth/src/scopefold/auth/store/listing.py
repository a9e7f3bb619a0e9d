"""The worklist in any order, a page at a time: each grant set is a sorted stream, and the streams are merged.

A page reads a bounded number of rows from each grant set, in an index, however many users there are. Only since when a
scope is missing that calls have disproved stands in no index: users of such a grant set are looked at one by one, up to
a bound, and only where that order or age is asked for.
"""

import heapq
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.consent.chosen import Chosen, Filters, Order, Place, place_of, unclear_sets, wanted
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Row, UserGrant, disproves, grant_key, row_of

MOST_LOOKED_AT: Final = 20_000
LEAST_AT_ONCE: Final = 4
AFTER_ALL: Final = "\U0010ffff"
START: Final[Place] = (-1, -1, "", "", "")


class TooMany(RuntimeError):
    """More users would have to be looked at one by one than this service does at a time."""


class Page(Struct, frozen=True):
    """A part of the worklist, and where the next part begins (None: there is none)."""

    rows: tuple[Row, ...]
    next: Place | None


def idp_of(projection: Projection, one: GrantSet) -> Idp:
    """The IdP of a grant set."""
    return projection.scopes.idp(one.idp)


def chosen_sets(projection: Projection, filters: Filters) -> list[GrantSet]:
    """The grant sets whose users are on the worklist for what is asked."""
    return [one for one in projection.grant_sets() if wanted(idp_of(projection, one), one.judgement, filters)]


async def page(projection: Projection, chosen: Chosen, order: Order, *, after: Place | None, limit: int) -> Page:
    """Part of the worklist in an order, after a place. Raises `TooMany`."""
    async with projection.standing_still():
        if chosen.users is not None:
            found = sorted(await rows_of(projection, chosen, order))
            return _page([(place, row) for place, row in found if after is None or place > after], limit)
        sets = chosen_sets(projection, chosen.filters)
        at_once = max(LEAST_AT_ONCE, limit // max(1, len(sets)) + 1)
        streams = [_Stream(projection, one, chosen, order=order, after=after or START, at_once=at_once) for one in sets]
        return await _merged(streams, limit)


async def count(projection: Projection, chosen: Chosen) -> int:
    """How many rows there are. Without a user-level filter no user is looked at. Raises `TooMany`."""
    if not chosen.aged and chosen.users is None:
        return sum(one.users for one in chosen_sets(projection, chosen.filters))
    async with projection.standing_still():
        if chosen.users is not None:
            return len(await rows_of(projection, chosen, "user"))
        total = 0
        for one in chosen_sets(projection, chosen.filters):
            if _by_hand(projection, one):
                total += sum(chosen.has(row) for row in await _every_row(projection, one))
            elif (aged := _aged(one, chosen)) is not None:
                sql, since = aged
                counted = f"SELECT count(*) FROM grants WHERE grant_set = ? {sql}"  # noqa: S608 (written here)
                ((users,),) = await projection.select(counted, (one.id, *since))
                total += users
        return total


async def count_unclear(projection: Projection, chosen: Chosen) -> int:
    """Of how many users of a choice it is not known whether they lack what is asked for."""
    sets = unclear_sets(projection.scopes, projection.grant_sets(), chosen)
    if chosen.users is None or not sets:
        return sum(one.users for one in sets)
    keys = {(one.idp, one.key) for one in sets}
    async with projection.standing_still():
        return sum((held.idp, grant_key(held.grant)) in keys for held in await projection.held_by(chosen.users))


def _page(rows: list[tuple[Place, Row]], limit: int) -> Page:
    return Page(tuple(row for _, row in rows[:limit]), rows[limit - 1][0] if len(rows) > limit else None)


async def rows_of(projection: Projection, chosen: Chosen, order: Order) -> list[tuple[Place, Row]]:
    """The rows of the users whom the choice names. Who calls it sees that nothing is folded meanwhile."""
    sets = {(one.idp, one.key): one for one in chosen_sets(projection, chosen.filters)}
    found = []
    for held in await projection.held_by(chosen.users or ()):
        one = sets.get((held.idp, grant_key(held.grant)))
        if one is not None and chosen.has(row := _row(projection, held, one)):
            found.append((place_of(order, one.key, row), row))
    return found


def needed_since(one: GrantSet) -> int:
    """The earliest event that asks for something which a grant set lacks."""
    return min(because.cause.seq for lack in one.judgement.lacks for because in lack.because)


def _by_hand(projection: Projection, one: GrantSet) -> bool:
    """Does it depend on reports since when its users lack something?"""
    return disproves(one.grant, one.judgement.lacks, idp_of(projection, one).profile)


def _row(projection: Projection, held: UserGrant, one: GrantSet) -> Row:
    return row_of(held, one.judgement, idp_of(projection, one).profile)


async def _every_row(projection: Projection, one: GrantSet) -> list[Row]:
    if one.users > MOST_LOOKED_AT:
        raise TooMany(
            f"Calls have shown for {one.users} users of {one.idp} that their grant is less than it was told to be: "
            f"since when is looked up for at most {MOST_LOOKED_AT} of them. Ask in another order, or for fewer."
        )
    return [_row(projection, held, one) for held in await projection.grants_in(one, "", ())]


def _aged(one: GrantSet, chosen: Chosen) -> tuple[str, tuple[int, ...]] | None:
    """The condition for users of a set to be missing something since then; None: none of them is.

    They are since the later of two events: the first need of what they lack, and the token that lacks it.
    """
    needed, sql, values = needed_since(one), "", []
    if chosen.before is not None:
        if needed > chosen.before:
            return None
        sql, values = "AND stored <= ? ", [chosen.before]
    if chosen.after is not None and needed <= chosen.after:
        sql, values = sql + "AND stored > ? ", [*values, chosen.after]
    return sql, tuple(values)


class _Stream:
    """The rows of one grant set, in order, read a few at a time. `place`: where the next one stands at the earliest."""

    def __init__(
        self, projection: Projection, one: GrantSet, chosen: Chosen, *, order: Order, after: Place, at_once: int
    ) -> None:
        self._projection, self._set, self._chosen = projection, one, chosen
        self._order, self._after, self._at_once = order, after, at_once
        self._by_hand = _by_hand(projection, one) and (chosen.aged or order == "since")
        self._age = None if self._by_hand else _aged(one, chosen)
        self._read: Iterator[tuple[Place, Row]] = iter(())
        self.more = self._by_hand or self._age is not None
        self.row: Row | None = None
        earliest = {"idp": (0, 0, one.idp, one.key, ""), "since": (needed_since(one), -1, "", "", "")}
        self.place: Place = max(after, earliest.get(order, after))
        if order == "idp" and (one.idp, one.key) < (after[2], after[3]):
            self.more = False

    async def step(self) -> bool:
        """Go on to the next row; False where there is none."""
        while True:
            if (found := next(self._read, None)) is not None:
                self._after, self.row = found
                self.place = self._after
                return True
            if not self.more:
                return False
            self._read = iter(await self._next_rows())

    async def _next_rows(self) -> list[tuple[Place, Row]]:
        if self._by_hand:
            self.more = False
            rows = [row for row in await _every_row(self._projection, self._set) if self._chosen.has(row)]
            return sorted(found for found in map(self._placed, rows) if found[0] > self._after)
        sql, values = self._sql()
        assert self._age is not None
        held = await self._projection.grants_in(
            self._set, f"{self._age[0]}{sql} LIMIT ?", (*self._age[1], *values, self._at_once)
        )
        self.more = len(held) == self._at_once
        self._at_once *= 2
        return [self._placed(_row(self._projection, one, self._set)) for one in held]

    def _placed(self, row: Row) -> tuple[Place, Row]:
        return place_of(self._order, self._set.key, row), row

    def _sql(self) -> tuple[str, tuple[object, ...]]:
        """What stands after `self._after` in this grant set, in the order of an index."""
        one, (first, second, *texts) = self._set, self._after
        match self._order:
            case "idp":
                here = (one.idp, one.key) == (texts[0], texts[1])
                return "AND user > ? ORDER BY user", (texts[2] if here else "",)
            case "user":
                return f"AND user {'>=' if one.idp > texts[1] else '>'} ? ORDER BY user", (texts[0],)
            case "since":
                needed = needed_since(one)
                least = -1.0 if needed > first else second if needed == first else max(second, first - 1)
                return "AND stored > ? ORDER BY stored", (least,)
            case "deadline":
                user = texts[1] if one.idp == texts[0] else "" if one.idp > texts[0] else AFTER_ALL
                return "AND (dies, user) > (?, ?) ORDER BY dies, user", (first, user)


async def _merged(streams: list[_Stream], limit: int) -> Page:
    """The first rows of all streams together. One is only opened when a row of it may be the next."""
    heap = [(stream.place, number, False) for number, stream in enumerate(streams) if stream.more]
    heapq.heapify(heap)
    found: list[tuple[Place, Row]] = []
    while heap and len(found) <= limit:
        place, number, opened = heapq.heappop(heap)
        stream = streams[number]
        if opened and stream.row is not None:
            found.append((place, stream.row))
        if len(found) <= limit and await stream.step():
            heapq.heappush(heap, (stream.place, number, True))
    return _page(found, limit)
