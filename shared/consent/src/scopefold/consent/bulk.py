"""The fold of `reconsent`, over many events at once: a faster way to the same value, not a second meaning.

Events of IdPs are few and folded one by one, by `idp_scopes.fold`. Users' events are folded in rounds: the first of
each user, then the second … Within a round nobody's depends on another's, and what happens to a user is one of few
steps from one shape of a grant to another (`shapes`), each of which the ordinary `fold_grant` decides once. What a
user holds is kept in columns.

Whose grant has more causes than the columns hold, or who has said what the columns do not, is folded one by one.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from scopefold.consent import idp_scopes
from scopefold.consent.concerns import idp_emptied
from scopefold.consent.deadlines import Deadlines
from scopefold.consent.facts import (
    NEVER,
    NO_NUMBER,
    NOBODY,
    Facts,
    Number,
    Role,
    Said,
    Whole,
    distinct,
    firsts_of,
    role_of,
)
from scopefold.consent.reconsent import UserGrant, fold_grant
from scopefold.consent.shapes import EPOCH, MOVES, NEWER, NO_GENERATION, SAME, Step, grant_of, shape_of, step, width
from scopefold.contracts.events import TokenStored
from scopefold.contracts.recorded import Cause
from scopefold.scopes.profile import Profile

SLOTS: Final = 4
"""So many causes of a grant have columns."""
MOST_SHAPES: Final = 50_000
MANY_ROUNDS: Final = 64
FEW: Final = 32
"""After many rounds, fewer users than this are folded one by one: a round costs the same for one as for a thousand."""

TAKEN, GONE = MOVES.index("taken"), MOVES.index("gone")
ABSENT, APART = 0, 1
"""Shapes that are none: no grant; and one that stands in `apart`."""
_MICROSECOND: Final = timedelta(microseconds=1)
_Kind = TypeVar("_Kind", bound=np.generic)


class Bulk:
    """What `reconsent.State` says, in columns. A place in them is one user at one IdP.

    `shape` is a place in `shapes`; `slots` has the sequences of the grant's causes, as the shape places them; `expires`
    has three rows, as in `Facts`; `apart` the grants that have no columns, by place. Causes in it are known by their
    sequence alone.
    """

    def __init__(self, *, slots: int = SLOTS, many_rounds: int = MANY_ROUNDS) -> None:
        self.scopes: idp_scopes.State = idp_scopes.EMPTY
        self.seq = 0
        self.count = 0
        self.user: Number = np.empty(0, np.int32)
        self.shape: Number = np.empty(0, np.int32)
        self.generation: Whole = np.empty(0, np.int64)
        self.expires: Whole = np.empty((3, 0), np.int64)
        self.slots: Whole = np.empty((slots, 0), np.int64)
        self.shapes: list[UserGrant | None] = [None, None]
        self.apart: dict[int, UserGrant] = {}
        self._many_rounds = many_rounds
        self._places: dict[str, Number] = {}
        self._shape_numbers: dict[UserGrant, int] = {}
        self._steps: dict[tuple[int, int, int], tuple[Step, int]] = {}
        self._kinds: dict[tuple[Said, str], int] = {}
        self._kind_of: list[tuple[Said, Profile]] = []

    # The order of the log

    def fold(self, facts: Facts) -> None:
        """Go on with the range that follows."""
        if len(facts.seq) == 0:
            return
        roles = [role_of(said) for said in facts.sayings]
        ends = np.flatnonzero(_is(roles, "idp")[facts.said]).tolist()
        begun = done = 0  # since the last event of an IdP, and up to where users are folded
        for end in [*ends, len(facts.seq)]:
            self._tried(facts, roles, begun, end)
            if end < len(facts.seq):
                before = self.scopes
                self.scopes = idp_scopes.fold(before, recorded := facts.exactly(end))
                emptied = idp_emptied(recorded)
                if emptied or _profile(before, recorded.event.idp) != _profile(self.scopes, recorded.event.idp):
                    now, self.scopes = self.scopes, before
                    self._users(facts, roles, done, end)
                    self.scopes, done = now, end
                if emptied:
                    self._emptied(facts, end, emptied)
            begun = end
        self._users(facts, roles, done, len(facts.seq))
        self._adopt()
        self.seq = int(facts.seq[-1])

    def _tried(self, facts: Facts, roles: Sequence[Role], begun: int, end: int) -> None:
        """Fold how logins fared at IdPs, between two events that change what is asked for there.

        A token ends the trials of all that was asked for with it, so a second one that says the same ends nothing.
        """
        said = facts.said[begun:end]
        places = (begun + np.flatnonzero(_is(roles, "failure")[said])).tolist()
        trying = {name for name, idp in self.scopes.idps.items() if idp.trials}
        tokens = np.array([_is_token(one, trying) for one in facts.sayings], np.bool_)
        firsts = {}
        if tokens.any():
            first = firsts_of(said, len(tokens))
            firsts = {begun + int(first[number]): number for number in np.flatnonzero(tokens & (first >= 0)).tolist()}
        for place in sorted([*places, *firsts]):
            example = facts.sayings[firsts[place]].example if place in firsts else None
            self.scopes = idp_scopes.fold(self.scopes, example or facts.exactly(place))

    # Users

    def _users(self, facts: Facts, roles: Sequence[Role], begun: int, end: int) -> None:
        """Fold users' events of a part in which no IdP's profile changes."""
        named = facts.user[begun:end] != NOBODY  # who says no need not be known
        rows = begun + np.flatnonzero(_is(roles, "grant")[facts.said[begun:end]] & named)
        if len(rows) == 0:
            return
        kinds = np.array(
            [self._kind(said) if role == "grant" else 0 for said, role in zip(facts.sayings, roles, strict=True)]
        )
        idps = [said.example.event.idp if said.example else "" for said in facts.sayings]
        said = facts.said[rows]
        places = self._placed(idps, said, facts.user[rows])
        for number, chosen in enumerate(_rounds(places)):
            at, where = rows[chosen], places[chosen]
            if number >= self._many_rounds and len(at) < FEW:
                self._set_apart(where)
            self._round(facts, at, where, kinds[said[chosen]])

    def _emptied(self, facts: Facts, row: int, idp: str) -> None:
        """Fold one event that concerns everybody at an IdP."""
        known = self._places.get(idp, np.empty(0, np.int32))
        places = known[known >= 0].astype(np.int64)
        if len(places):
            kind = self._kind(facts.sayings[facts.said[row]])
            self._round(facts, np.full(len(places), row), places, np.full(len(places), kind))

    def _round(self, facts: Facts, rows: Whole, places: Whole, kinds: Whole) -> None:
        """Fold one event of each of these users."""
        told, held = facts.generation[rows], self.generation[places]
        relation = np.where(told == NO_NUMBER, NO_GENERATION, SAME + np.sign(told - held))
        codes = (self.shape[places].astype(np.int64) * len(self._kind_of) + kinds) * (NEWER + 1) + relation
        which, different = distinct(pa.array(codes))
        steps = [self._step(code) for code in different.to_pylist()]
        after = np.array([number for _, number in steps], np.int32)[which]
        grows = np.array([MOVES.index(one.generation) for one, _ in steps])[which]
        moves = np.array([MOVES.index(one.deadlines) for one, _ in steps])[which]
        self._one_by_one(facts, rows[after == APART], places[after == APART])
        if (after == APART).any():
            stay = after != APART
            rows, places, after, grows, moves, which = (x[stay] for x in (rows, places, after, grows, moves, which))
        self.shape[places] = after
        self.generation[places[grows == TAKEN]] = facts.generation[rows[grows == TAKEN]]
        self.generation[places[grows == GONE]] = 0
        self.expires[:, places[moves == TAKEN]] = facts.expires[:, rows[moves == TAKEN]]
        self.expires[:, places[moves == GONE]] = NEVER
        self._move_causes(facts, rows, places, [one.slots for one, _ in steps], which)

    def _move_causes(
        self, facts: Facts, rows: Whole, places: Whole, slots: Sequence[tuple[int, ...]], which: Whole
    ) -> None:
        depth = len(self.slots)
        stay = tuple(range(depth))
        full = [(*one, *stay[len(one) :])[:depth] for one in slots]
        moving = np.array([one != stay for one in full])[which]
        places, which = places[moving], which[moving]
        if len(places) == 0:
            return
        known = np.vstack([self.slots[:, places], facts.seq[rows[moving]].astype(np.int64)])
        self.slots[:, places] = np.take_along_axis(known, np.array(full)[which].T, axis=0)  # NEW is the last

    def _step(self, code: int) -> tuple[Step, int]:
        """What a code of a round means, and the number of the shape after it: `APART` where columns cannot tell it."""
        code, relation = divmod(code, NEWER + 1)
        number, kind = divmod(code, len(self._kind_of))
        found = self._steps.get((number, kind, relation))
        if found is None:
            said, profile = self._kind_of[kind]
            assert said.example is not None
            if number == APART or not said.alike:
                found = (Step(None, "kept", "kept", ()), APART)
            else:
                taken = step(self.shapes[number], said.example, profile, relation)
                found = (taken, self._number(taken.after))
            self._steps[number, kind, relation] = found
        return found

    def _number(self, shape: UserGrant | None) -> int:
        if shape is None:
            return ABSENT
        if (known := self._shape_numbers.get(shape)) is not None:
            return known
        if width(shape) > len(self.slots) or len(self.shapes) >= MOST_SHAPES:
            return APART
        self.shapes.append(shape)
        self._shape_numbers[shape] = len(self.shapes) - 1
        return len(self.shapes) - 1

    def _kind(self, said: Said) -> int:
        """The number of what is said, under the profile that its IdP has now."""
        assert said.example is not None
        profile = _profile(self.scopes, said.example.event.idp)
        number = self._kinds.setdefault((said, profile.name), len(self._kind_of))
        if number == len(self._kind_of):
            self._kind_of.append((said, profile))
        return number

    # One by one

    def _one_by_one(self, facts: Facts, rows: Whole, places: Whole) -> None:
        self._set_apart(places)
        for row, place in zip(rows.tolist(), places.tolist(), strict=True):
            recorded = facts.exactly(row)
            grant = fold_grant(self.apart.get(place), recorded, _profile(self.scopes, recorded.event.idp))
            if grant is not None:
                self.apart[place] = grant

    def _set_apart(self, places: Whole) -> None:
        for place in places.tolist():
            if self.shape[place] != APART and (grant := self.grant(place, "")) is not None:
                self.apart[place] = grant
            self.shape[place] = APART

    def _adopt(self) -> None:
        """Take grants back into the columns, where they fit."""
        for place in np.flatnonzero(self.shape[: self.count] == APART).tolist():
            grant = self.apart.get(place)
            if grant is None:
                self.shape[place] = ABSENT
                continue
            clocks = [getattr(grant.deadlines, name) for name in Deadlines.__struct_fields__]
            shape, causes = shape_of(grant)
            number = self._number(shape) if all(at is None or at.tzinfo is EPOCH.tzinfo for at in clocks) else APART
            if number != APART:
                self.shape[place], self.generation[place] = number, grant.generation
                self.expires[:, place] = [NEVER if at is None else (at - EPOCH) // _MICROSECOND for at in clocks]
                self.slots[: len(causes), place] = causes
                del self.apart[place]

    def grant(self, place: int, user: str) -> UserGrant | None:
        """What stands at a place. Its causes are known by their sequence alone."""
        if (number := int(self.shape[place])) == ABSENT:
            return None
        if number == APART:
            return self.apart.get(place)
        shape = self.shapes[number]
        assert shape is not None
        clocks = [None if at == NEVER else EPOCH + at * _MICROSECOND for at in self.expires[:, place].tolist()]
        causes = self.slots[:, place].tolist()
        return grant_of(
            shape, user, int(self.generation[place]), Deadlines(*clocks), lambda at: Cause(causes[at], EPOCH, "")
        )

    # Places

    def _placed(self, idps: Sequence[str], said: Number, users: Number) -> Whole:
        """Each event's place, a new one where a user is met for the first time at an IdP."""
        places = np.empty(len(said), np.int64)
        names = sorted(set(idps))
        of = np.array([names.index(idp) for idp in idps])[said]
        for number, name in enumerate(names):
            chosen = of == number
            if not chosen.any():
                continue
            here = users[chosen]
            known = _grown(self._places.get(name, np.empty(0, np.int32)), int(here.max()) + 1, -1)
            self._places[name] = known
            met = np.zeros(len(known), np.bool_)
            met[here[known[here] < 0]] = True
            new = np.flatnonzero(met)
            self._reserve(self.count + len(new))
            known[new] = np.arange(self.count, self.count + len(new))
            self.user[self.count : self.count + len(new)] = new
            self.count += len(new)
            places[chosen] = known[here]
        return places

    def _reserve(self, count: int) -> None:
        self.user, self.shape = _grown(self.user, count, 0), _grown(self.shape, count, ABSENT)
        self.generation = _grown(self.generation, count, 0)
        self.expires, self.slots = _grown(self.expires, count, NEVER), _grown(self.slots, count, 0)

    def take(
        self,
        *,
        names: Sequence[str],
        idp: Number,
        user: Number,
        shapes: Sequence[UserGrant],
        shape: Number,
        generation: Whole,
        expires: Whole,
        slots: Whole,
    ) -> None:
        """Take over what was kept of such a fold. `idp` is each place's, by its number among `names`."""
        self.count = len(user)
        self.user, self.shape, self.generation = user, shape, generation
        self.expires, self.slots = expires, slots
        self.shapes = [None, None, *shapes]
        self._shape_numbers = {one: number for number, one in enumerate(shapes, start=len(self.shapes) - len(shapes))}
        for number, name in enumerate(names):
            places = np.flatnonzero(idp == number).astype(np.int32)
            known = np.full(int(user[places].max(initial=-1)) + 1, -1, np.int32)
            known[user[places]] = places
            self._places[name] = known

    def copy(self) -> "Bulk":
        """Another fold that begins where this one stands, and leaves it as it is."""
        made = Bulk(slots=len(self.slots), many_rounds=self._many_rounds)
        made.scopes, made.seq, made.count = self.scopes, self.seq, self.count
        made.user, made.shape, made.generation = self.user.copy(), self.shape.copy(), self.generation.copy()
        made.expires, made.slots = self.expires.copy(), self.slots.copy()
        made.shapes, made.apart = list(self.shapes), dict(self.apart)
        made._shape_numbers = dict(self._shape_numbers)
        made._places = {name: places.copy() for name, places in self._places.items()}
        return made

    @property
    def places(self) -> dict[str, Number]:
        """By IdP and user's number: the place, or -1."""
        return self._places


def _profile(scopes: idp_scopes.State, idp: str) -> Profile:
    return scopes.idp(idp).profile


def _is_token(said: Said, idps: Collection[str]) -> bool:
    event = said.example.event if said.example is not None else None
    return isinstance(event, TokenStored) and event.idp in idps


def _is(roles: Sequence[Role], role: Role) -> NDArray[np.bool_]:
    return np.array([one == role for one in roles], np.bool_)


def _rounds(places: Whole) -> Iterator[Whole]:
    """The events of each round: every place's first, every place's second …"""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(places)])
    turn = np.arange(len(places)) - np.repeat(starts, lengths)
    order = order[np.argsort(turn.astype(np.uint16) if lengths.max() < 2**16 else turn, kind="stable")]
    ends = np.cumsum(np.bincount(turn))
    yield from np.split(order, ends[:-1])


def _grown(array: NDArray[_Kind], length: int, fill: int) -> NDArray[_Kind]:
    """The array, at least so long; it doubles, so that growing costs little."""
    if array.shape[-1] >= length:
        return array
    new = np.full((*array.shape[:-1], max(length, 2 * array.shape[-1])), fill, array.dtype)
    new[..., : array.shape[-1]] = array
    return new
