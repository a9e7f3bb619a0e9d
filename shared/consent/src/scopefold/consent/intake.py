"""From Arrow tables with the log's columns (`contracts.columns`) to what the bulk fold reads."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final, get_args

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from scopefold.consent.facts import (
    NEVER,
    NO_NUMBER,
    NOBODY,
    Facts,
    Number,
    Said,
    Whole,
    distinct,
    firsts_of,
    whole_numbers,
)
from scopefold.contracts.columns import CLOCKS, ELSEWHERE, QUARANTINED, REFS, Row, message_in
from scopefold.contracts.events import (
    ConsentDeclined,
    Event,
    GrantRevoked,
    TokenCleared,
    TokenInsufficient,
    TokenStored,
    UserErased,
    UserLoggedIn,
    tag_of,
)
from scopefold.contracts.recorded import Recorded

_EXPLAIN_NOTHING: Final = (
    TokenStored,
    TokenInsufficient,
    TokenCleared,
    UserErased,
    UserLoggedIn,
    ConsentDeclined,
    GrantRevoked,
)
"""Of these, folds keep no more than the sequence, by which the rest is found when it is shown."""
EXPLAINED: Final = ("event_id", "ref")
_SAYING: Final = ("type", "idp", "publisher", "detail")
_TAGS: Final = frozenset(tag_of(kind) for kind in get_args(Event))
_WITH_FINGERPRINT: Final = frozenset(
    tag_of(kind) for kind in get_args(Event) if "fingerprint" in kind.__struct_fields__
)
_WITH_REF: Final = frozenset(tag for tag in _TAGS if tag.partition(".")[0] in REFS)
_FIELDS: Final = frozenset(Row._fields)
_BARE: Final = frozenset(tag_of(kind) for kind in _EXPLAIN_NOTHING) | {QUARANTINED, ELSEWHERE}
_OWN_COLUMN: Final = frozenset({"idp", "user", "generation", *CLOCKS})


class Intake:
    """Reads tables of one tenant's log. `users` are the ids of those who have a number already: an Arrow array, in
    which the number is the place. Who is met without a number gets the next one.
    """

    def __init__(self, tenant: str, users: Any = None) -> None:
        self._tenant = tenant
        self._said: dict[tuple[str, ...], Said] = {}
        self._numbered = pa.array([], pa.string()) if users is None else users
        self._met: dict[str, int] = {}

    @property
    def users(self) -> Any:
        """All users' ids, by number."""
        return pa.concat_arrays([self._numbered, pa.array(self._met, pa.string())])

    def wanting(self, table: Any) -> Whole:
        """The rows of which the fold must know what the columns `EXPLAINED` say: few, and in order."""
        places, different = distinct(table["type"])
        wanted = np.array([one not in _BARE for one in different.to_pylist()], np.bool_)
        return np.flatnonzero(wanted[places])

    def facts(self, table: Any, explained: Any = None) -> Facts:
        """The table's rows, which are in the log's order. Where it lacks columns that explain, `explained` has those of
        `EXPLAINED`, a row for each of `wanting`.
        """
        exactly = partial(self._recorded, table, self._wanted(table, explained))
        at = whole_numbers(table["at"].cast(pa.int64()))
        expires = np.full((len(CLOCKS), len(at)), NEVER, np.int64)
        for number, column in enumerate(CLOCKS.values()):
            told = _valid(table[column])
            expires[number, told] = at[told] + whole_numbers(table[column].fill_null(0))[told]
        said, sayings = self._sayings(table, exactly)
        return Facts(
            seq=whole_numbers(table["seq"].cast(pa.int64())),
            said=said,
            sayings=sayings,
            user=self._users(table["user"]),
            generation=whole_numbers(table["generation"].cast(pa.int64()).fill_null(NO_NUMBER)),
            expires=expires,
            exactly=exactly,
        )

    def _wanted(self, table: Any, explained: Any) -> dict[int, dict[str, Any]]:
        """The rows that are wanted whole, by their place."""
        if explained is None:
            return {}
        places = self.wanting(table)
        rows = zip(table.take(pa.array(places)).to_pylist(), explained.to_pylist(), strict=True)
        return {place: told | ids for place, (told, ids) in zip(places.tolist(), rows, strict=True)}

    def _recorded(self, table: Any, wanted: dict[int, dict[str, Any]], place: int) -> Recorded:
        """The event at a place; with blanks for what would explain it where that is not wanted."""
        if (row := wanted.get(place)) is None:
            (row,) = table.slice(place, 1).to_pylist()
        if isinstance(row["user"], int):
            row = row | {"user": self._numbered[row["user"]].as_py()}
        recorded = message_in(
            Row(**_blank(row["type"]) | {name: row[name] for name in _FIELDS & row.keys()}), self._tenant
        )
        assert isinstance(recorded, Recorded)
        return recorded

    def _sayings(self, table: Any, exactly: Callable[[int], Recorded]) -> tuple[Number, tuple[Said, ...]]:
        """What each row says, as a place among the different things that are said."""
        code: Whole = np.zeros(table.num_rows, np.int64)
        keys: list[tuple[str, ...]] = [()]
        for name in _SAYING:
            places, different = distinct(table[name])
            values = different.to_pylist()
            code, pairs = distinct(pa.array(code * len(values) + places))
            keys = [(*keys[one // len(values)], values[one % len(values)]) for one in pairs.to_pylist()]
        said = code.astype(np.int32)
        for key, first in zip(keys, firsts_of(said, len(keys)).tolist(), strict=True):
            if key not in self._said:
                self._said[key] = _said(key, partial(exactly, first))
        return said, tuple(self._said[key] for key in keys)

    def _users(self, column: Any) -> Number:
        if pa.types.is_integer(column.type):
            return whole_numbers(column.cast(pa.int64()).fill_null(NOBODY)).astype(np.int32)
        places, different = distinct(column)
        numbers = pc.index_in(different, value_set=self._numbered).to_pylist()
        for place, user in enumerate(different.to_pylist()):
            if numbers[place] is None:
                numbers[place] = self._met.setdefault(user, len(self._numbered) + len(self._met))
        return np.array([*numbers, NOBODY], np.int32)[places]


def _blank(kind: str) -> dict[str, Any]:
    """Something in place of what an event of this type must have."""
    blank = {"fingerprint": "" if kind in _WITH_FINGERPRINT else None, "ref": "" if kind in _WITH_REF else None}
    return {**dict.fromkeys(Row._fields), "event_id": "", **blank}


def _said(key: tuple[str, ...], example: Callable[[], Recorded]) -> Said:
    """What rows of one type, IdP, publisher and detail say, of which there is an example."""
    kind, *_, detail = key
    if kind in (QUARANTINED, ELSEWHERE):
        return Said(None)
    beyond = _OWN_COLUMN.intersection(msgspec.json.decode(detail, type=dict[str, Any]))
    return Said(example(), alike=kind in _TAGS and not beyond)


def _valid(column: Any) -> NDArray[np.bool_]:
    return np.asarray(column.is_valid(), np.bool_)
