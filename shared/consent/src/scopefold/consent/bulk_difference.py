"""The difference between two moments that are both folded in bulk: few grants of many are looked at."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray

from scopefold.consent.bulk import ABSENT, Bulk
from scopefold.consent.bulk_worklist import NO_SET, BulkWorklist, explained
from scopefold.consent.difference import Comparison, Difference
from scopefold.consent.facts import Number, Whole
from scopefold.consent.reconsent import UserGrant
from scopefold.consent.shapes import sequences
from scopefold.contracts.recorded import Cause, Recorded

Key = tuple[str, str]
"""IdP, user."""
Pair = tuple[UserGrant | None, UserGrant]
"""A user's grant at an IdP at the one moment and at the other."""


class BulkDifference:
    """What changed from one moment of a log to a later one, as `Comparison` has it.

    It is found by the causes' sequences alone, which is enough to compare; what is listed is then told with the causes.
    `later.users` number the users of both moments.
    """

    def __init__(
        self,
        earlier: BulkWorklist,
        later: BulkWorklist,
        between: Sequence[Recorded],
        *,
        idp: str | None = None,
        limit: int | None = None,
    ) -> None:
        self._between, self._idp, self._limit = between, idp, limit
        self._sides = earlier.bulk, later.bulk
        moved = list(_moved(earlier, later, idp))
        found = self._compared(_pairs(earlier.bulk, later.bulk, moved)).found(earlier.count("missing", idp))
        rows = [*found.entered, *(one.was for one in found.left), *(one.was for one in found.changed)]
        self._totals = found.totals
        self._listed = list(_pairs(earlier.bulk, later.bulk, moved, {(row.idp, row.user) for row in rows}))

    @property
    def sequences(self) -> frozenset[int]:
        """The sequences of the causes that are to be told."""
        held = [one for pair in self._listed for one in pair if one is not None]
        return frozenset[int]().union(*map(sequences, held))

    def told(self, causes: Mapping[int, Cause]) -> Difference:
        """All of it. `causes` has the cause at each of `sequences`."""
        pairs = [(was and explained(was, causes), explained(now, causes)) for was, now in self._listed]
        return replace(self._compared(pairs).found(), totals=self._totals)

    def _compared(self, pairs: Iterable[Pair]) -> Comparison:
        before, after = self._sides
        comparison = Comparison(before.scopes, after.scopes, self._between, idp=self._idp, limit=self._limit)
        for was, now in pairs:
            comparison.take(was, now)
        return comparison


class _Moved(NamedTuple):
    """Who may have moved at an IdP: the users' ids in their order, and their places then (-1: none) and now."""

    idp: str
    names: Any
    then: Whole
    now: Whole


def _moved(earlier: BulkWorklist, later: BulkWorklist, idp: str | None) -> Iterator[_Moved]:
    """Whose grant is another than it was, or is judged otherwise."""
    same_shape, steady = _same_shapes(earlier.bulk, later.bulk), _steady_sets(earlier, later)
    for name in sorted(later.bulk.places):
        if idp in (None, name):
            then, now = _places(earlier.bulk, later.bulk, name)
            stays = _unchanged(earlier.bulk, later.bulk, then, now, same_shape) & steady[later.set_at[now]]
            chosen = ~stays & (later.bulk.shape[now] != ABSENT)
            names = later.users.take(later.bulk.user[now[chosen]])
            order = pc.sort_indices(names).to_numpy()
            yield _Moved(name, names.take(order), then[chosen][order], now[chosen][order])


def _pairs(earlier: Bulk, later: Bulk, moved: Iterable[_Moved], only: Collection[Key] | None = None) -> Iterator[Pair]:
    """The grants of who moved, in the order of IdP and user. Causes are known by their sequence alone."""
    for one in moved:
        for name, then, now in zip(one.names.to_pylist(), one.then.tolist(), one.now.tolist(), strict=True):
            if only is None or (one.idp, name) in only:
                before = earlier.grant(then, name) if then >= 0 else None
                held = later.grant(now, name)
                assert held is not None
                yield before and replace(before, user=name), replace(held, user=name)


def _places(earlier: Bulk, later: Bulk, idp: str) -> tuple[Whole, Whole]:
    """Where users stood (-1: nowhere) and stand, of all whom the later moment knows at an IdP."""
    known = later.places[idp]
    users = np.flatnonzero(known >= 0)
    before: Number = earlier.places.get(idp, np.empty(0, np.int32))
    then: Whole = np.full(len(users), -1, np.int64)
    met = users < len(before)
    then[met] = before[users[met]]
    return then, known[users].astype(np.int64)


def _same_shapes(earlier: Bulk, later: Bulk) -> Whole:
    """By the number of an earlier shape: that of the same shape later; -1 where there is none, or it has no columns."""
    numbers = {shape: number for number, shape in enumerate(later.shapes) if shape is not None}
    found = [-1 if shape is None else numbers.get(shape, -1) for shape in earlier.shapes]
    return np.array(found, np.int64)


def _steady_sets(earlier: BulkWorklist, later: BulkWorklist) -> NDArray[np.bool_]:
    """By the number of a later grant set: was it judged as it is now, under the same names?

    Those who hold none stand at the end.
    """
    judged = {(one.idp, one.key): (one.judgement, one.profile.name) for one in earlier.sets}
    steady = np.zeros(max(later.numbered, default=0) + 2, np.bool_)
    for number, one in later.numbered.items():
        steady[number] = judged.get((one.idp, one.key)) == (one.judgement, one.profile.name)
    steady[NO_SET] = True
    return steady


def _unchanged(earlier: Bulk, later: Bulk, then: Whole, now: Whole, same_shape: Whole) -> NDArray[np.bool_]:
    """Whose columns say the same, beside which token it is and when that dies: a renewal changes nobody's row.

    What no shape tells any more may differ too, which costs a look at one more user.
    """
    found = np.zeros(len(now), np.bool_)
    known = np.flatnonzero(then >= 0)
    then, now = then[known], now[known]
    found[known] = (same_shape[earlier.shape[then]] == later.shape[now]) & (
        earlier.slots[:, then] == later.slots[:, now]
    ).all(axis=0)
    return found
