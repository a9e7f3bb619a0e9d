"""What becomes of a user's grant, told without the user: the shape of a grant, and the step from one shape to the next.

Of all that an event says, the fold of a grant reads little: it copies the user, the times at which a token dies and
the causes, and compares generations with the one before. What is left has few different values, however many users
there are. So `fold_grant` is asked once for each of them, with stand-ins for what it copies, and its answer holds for
everybody to whom the same happens.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from scopefold.consent.deadlines import Deadlines
from scopefold.consent.reconsent import UserGrant, fold_grant
from scopefold.contracts.recorded import Cause, Recorded
from scopefold.scopes.profile import Profile

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEW: Final = -1
"""Stands for the sequence of the event that is folded."""

NO_GENERATION, OLDER, SAME, NEWER = range(4)
"""How the generation that an event names stands to the one that is held: it names none, an older one …"""

_HELD: Final = 2
_GENERATIONS: Final = {NO_GENERATION: None, OLDER: _HELD - 1, SAME: _HELD, NEWER: _HELD + 1}
_KEPT: Final = Deadlines(EPOCH, EPOCH, EPOCH)
_COME: Final = Deadlines(*(EPOCH + timedelta(days=1),) * 3)


Moved = Literal["kept", "taken", "gone"]
"""What the event does to what a grant has: it stays, the event's own takes its place, or nothing does."""
MOVES: Final[tuple[Moved, ...]] = ("kept", "taken", "gone")


class NotAlike(AssertionError):
    """The fold of a grant looks at what it was thought to copy, so it cannot be done by shapes."""


class Step(Struct, frozen=True):
    """What an event does to everybody whose grant has one shape.

    `after` is the shape then; None: there still is no grant. `slots` says, for each cause that the shape has, where
    it was before: its place there, or `NEW`.
    """

    after: UserGrant | None
    generation: Moved
    deadlines: Moved
    slots: tuple[int, ...]


def step(before: UserGrant | None, said: Recorded, profile: Profile, relation: int) -> Step:
    """The step from a shape. `said` is any event that says the same. Raises `NotAlike`."""
    event: Any = said.event
    stand_ins: dict[str, Any] = {}
    if hasattr(event, "user"):
        stand_ins["user"] = ""
    if hasattr(event, "generation"):
        stand_ins["generation"] = _GENERATIONS[relation]
    if hasattr(event, "access_expires_at"):
        stand_ins |= {f"{name}_expires_at": getattr(_COME, name) for name in Deadlines.__struct_fields__}
    recorded = replace(said, seq=NEW, at=EPOCH, event_id="", event=replace(event, **stand_ins))
    grant = fold_grant(before, recorded, profile)
    if grant is before:
        return Step(before, "kept", "kept", ())
    assert grant is not None
    after, slots = shape_of(grant)
    generation = _moved(grant.generation, _HELD, _GENERATIONS[relation], 0)
    return Step(after, generation, _moved(grant.deadlines, _KEPT, _COME, Deadlines()), slots)


def _moved(now: object, held: object, told: object, none: object) -> Moved:
    for move, value in zip(MOVES, (held, told, none), strict=True):
        if now == value:
            return move
    raise NotAlike(f"{now} is neither held nor told")


def shape_of(grant: UserGrant) -> tuple[UserGrant, tuple[int, ...]]:
    """A grant without its user, generation, deadlines and causes; and the sequences of its causes, each once.

    In the shape, a cause's sequence is its place among those.
    """
    places: dict[int, int] = {}

    def placed(cause: Cause) -> Cause:
        return Cause(places.setdefault(cause.seq, len(places)), EPOCH, "")

    shape = with_causes(grant, placed)
    return replace(shape, user="", generation=_HELD, deadlines=_KEPT), tuple(places)


def grant_of(
    shape: UserGrant, user: str, generation: int, deadlines: Deadlines, cause_at: Callable[[int], Cause]
) -> UserGrant:
    """The grant of a user again. `cause_at` gives the cause at a place of the shape."""
    grant = with_causes(shape, lambda cause: cause_at(cause.seq))
    return replace(grant, user=user, generation=generation, deadlines=deadlines)


def width(shape: UserGrant | None) -> int:
    """How many different causes a shape has."""
    return len(sequences(shape)) if shape is not None else 0


def sequences(grant: UserGrant) -> frozenset[int]:
    """The sequences of a grant's causes."""
    met: set[int] = set()

    def noted(cause: Cause) -> Cause:
        met.add(cause.seq)
        return cause

    with_causes(grant, noted)
    return frozenset(met)


def with_causes(value: UserGrant, change: Callable[[Cause], Cause]) -> UserGrant:
    """The same with other causes, wherever in it they stand."""
    changed = _with_causes(value, change)
    assert isinstance(changed, UserGrant)
    return changed


def _with_causes(value: object, change: Callable[[Cause], Cause]) -> object:
    match value:
        case Cause():
            return change(value)
        case tuple() if value and not isinstance(value[0], str):
            return tuple([_with_causes(one, change) for one in value])
        case Struct():
            fields = {name: getattr(value, name) for name in value.__struct_fields__}
            other = {name: _with_causes(one, change) for name, one in fields.items()}
            moved = {name: one for name, one in other.items() if one is not fields[name]}
            return replace(value, **moved) if moved else value
    return value
