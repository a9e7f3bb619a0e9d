"""What changed from one moment to a later one: who entered the worklist, who left it, what is each IdP asked for?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from msgspec import Struct

from scopefold.consent import idp_scopes
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import Row, State, judge, worklist
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned, IdpRemoved, name_of
from scopefold.contracts.recorded import Cause, Recorded

Key = tuple[str, str]
"""IdP and user: a row of the worklist."""
Aspect = Literal["union", "needed", "withheld"]
ASPECTS: Final[tuple[Aspect, ...]] = ("union", "needed", "withheld")


class Reason(Struct, frozen=True):
    """An event between the two moments: its name, the connector that it is about, if any, and its place."""

    event: str
    connector: str | None
    cause: Cause


class Moved(Struct, frozen=True):
    """A scope that came or went, and every event in between that moved it, the oldest first."""

    scope: str
    because: tuple[Reason, ...]


class IdpChange(Struct, frozen=True, kw_only=True):
    """How what an IdP is asked for has changed.

    `union` and `pruned`: the scopes that its union gained and lost. `needed` and `unneeded`: what base scopes and
    connectors began and ceased to need. `withheld` and `restored`: what logins leave out, and ask for again.
    """

    idp: str
    union: tuple[Moved, ...]
    pruned: tuple[Moved, ...]
    needed: tuple[Moved, ...]
    unneeded: tuple[Moved, ...]
    withheld: tuple[Moved, ...]
    restored: tuple[Moved, ...]


class Left(Struct, frozen=True):
    """Who need not consent again any more: the row as it was, and what the grant is worth now. `erased`: nobody stands
    behind it; `removed`: the IdP was.

    `reason` is None where the user's own grant changed, as `stored` says; else what changed at the IdP, or removed it.
    """

    was: Row
    now: Literal["covered", "unknown", "erased", "removed"]
    stored: Cause
    reason: Reason | None


class Changed(Struct, frozen=True):
    """Who stays on the worklist, but otherwise than before."""

    was: Row
    now: Row


class Difference(Struct, frozen=True):
    """All of it, in the order of IdP and user. `before` counts who was on the worklist, by IdP."""

    before: dict[str, int]
    entered: tuple[Row, ...]
    left: tuple[Left, ...]
    changed: tuple[Changed, ...]
    idps: tuple[IdpChange, ...]


def difference(before: State, after: State, between: Iterable[Recorded]) -> Difference:
    """What makes the worklist of `before` that of `after`; `applied` does it.

    `between` are the events that led from one to the other. Those that concern a user may be left out: they change
    nothing here.
    """
    was, now = rows_of(before), rows_of(after)
    moves = _Moves(before.scopes, between)
    return Difference(
        before=dict(Counter(idp for idp, _ in was)),
        entered=tuple(row for key, row in sorted(now.items()) if key not in was),
        left=tuple(_left(row, before, after, moves) for key, row in sorted(was.items()) if key not in now),
        changed=tuple(Changed(was[key], row) for key, row in sorted(now.items()) if key in was and was[key] != row),
        idps=tuple(_idp_changes(before, after, moves)),
    )


def rows_of(state: State) -> dict[Key, Row]:
    """The worklist by IdP and user."""
    return {(row.idp, row.user): row for row in worklist(state)}


def applied(rows: Mapping[Key, Row], change: Difference) -> dict[Key, Row]:
    """The later worklist, from the earlier one and the difference."""
    left = {(one.was.idp, one.was.user) for one in change.left}
    stayed = {key: row for key, row in rows.items() if key not in left}
    return stayed | {(row.idp, row.user): row for row in (*change.entered, *(one.now for one in change.changed))}


def _left(row: Row, before: State, after: State, moves: "_Moves") -> Left:
    held = after.grants[row.idp, row.user]
    if held.erased is not None:
        return Left(row, "erased", held.stored, None)
    if held.removed is not None:
        return Left(row, "removed", held.stored, Reason(name_of(IdpRemoved), None, held.removed))
    status = judge(after.scopes.idps.get(row.idp) or Idp(row.idp), held.grant).status
    assert status != "missing"
    own = held.stored != before.grants[row.idp, row.user].stored
    return Left(row, status, held.stored, None if own else moves.lessened(row))


def _idp_changes(before: State, after: State, moves: "_Moves") -> Iterable[IdpChange]:
    for name in sorted({*before.scopes.idps, *after.scopes.idps}):
        was, now = (_asked(state.scopes.idps.get(name) or Idp(name)) for state in (before, after))
        came, went = (
            {one: moves.of(name, one, now[one], was[one]) for one in ASPECTS},
            {one: moves.of(name, one, was[one], now[one]) for one in ASPECTS},
        )
        if any(came.values()) or any(went.values()):
            yield IdpChange(
                idp=name,
                union=came["union"],
                pruned=went["union"],
                needed=came["needed"],
                unneeded=went["needed"],
                withheld=came["withheld"],
                restored=went["withheld"],
            )


def _asked(idp: Idp) -> dict[Aspect, dict[str, None]]:
    """What an IdP is asked for, each aspect in an order that the state gives."""
    base = idp.registration.event.base_scopes if idp.registration is not None else ()
    needs = [need.scope for _, connector in sorted(idp.connectors.items()) for need in connector.needs]
    return {
        "union": dict.fromkeys(idp.union),
        "needed": dict.fromkeys((*base, *needs)),
        "withheld": dict.fromkeys(idp.withheld),
    }


class _Moves:
    """Which event in between moved which scope of which IdP, and which touched an IdP's needs last."""

    def __init__(self, before: idp_scopes.State, between: Iterable[Recorded]) -> None:
        self._moves: dict[tuple[str, Aspect, str], list[Reason]] = {}
        self._last: dict[str, Reason] = {}
        state = before
        for recorded in between:
            last, state = state, idp_scopes.fold(state, recorded)
            for name in {*last.idps, *state.idps}:
                was, now = last.idps.get(name), state.idps.get(name)
                if now is not was:
                    self._note(was or Idp(name), now or Idp(name), _reason(recorded))

    def _note(self, was: Idp, now: Idp, reason: Reason) -> None:
        before, after = _asked(was), _asked(now)
        for aspect in ASPECTS:
            for scope in before[aspect].keys() ^ after[aspect].keys():
                self._moves.setdefault((now.idp, aspect, scope), []).append(reason)
        if (was.registration, was.connectors) != (now.registration, now.connectors):
            self._last[now.idp] = reason

    def of(self, idp: str, aspect: Aspect, there: Iterable[str], elsewhere: Mapping[str, None]) -> tuple[Moved, ...]:
        """The scopes that are there and not elsewhere, with what moved them."""
        return tuple(
            Moved(scope, tuple(self._moves.get((idp, aspect, scope), ()))) for scope in there if scope not in elsewhere
        )

    def lessened(self, row: Row) -> Reason | None:
        """The last event in between after which a scope that the user lacked was needed no more, or any that
        touched what is needed: a connector may have come to take another list of scopes.
        """
        found = [one for lack in row.missing for one in self._moves.get((row.idp, "needed", lack.scope), ())]
        return max(found, key=lambda reason: reason.cause) if found else self._last.get(row.idp)


def _reason(recorded: Recorded) -> Reason:
    event = recorded.event
    about = event.connector if isinstance(event, ConnectorProvisioned | ConnectorDeprovisioned) else None
    return Reason(name_of(type(event)), about, recorded.cause)
