"""What changed from one moment to a later one: who entered the worklist, who left it, what is each IdP asked for?"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, TypeVar

from msgspec import Struct

from scopefold.consent import idp_scopes
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reasons import reasons, standing_of
from scopefold.consent.reconsent import Judgement, Lack, Row, State, UserGrant, judge, row_of
from scopefold.consent.requirements import Requirements, requirements
from scopefold.consent.ungiven import ASKED_AT_MOST, Why
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned, IdpRemoved, name_of
from scopefold.contracts.recorded import AsOf, Cause, Recorded
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import Grant
from scopefold.scopes.profile import PLAIN, Profile

T = TypeVar("T")
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
    Where both changed, it is what made the row go: the first of two that each would have, the last of two that only
    together did.
    """

    was: Row
    now: Literal["covered", "unknown", "erased", "removed"]
    stored: Cause
    reason: Reason | None


class Changed(Struct, frozen=True):
    """Who stays on the worklist, but otherwise than before: who lacks something else, because of others, for another
    reason, or is known to otherwise. A newer token, and when that dies, is no such change.
    """

    was: Row
    now: Row


class Totals(Struct, frozen=True, kw_only=True):
    """How many users are on the worklist at either moment, and how many came, went, and stayed otherwise."""

    before: int
    after: int
    entered: int
    left: int
    changed: int


class Difference(Struct, frozen=True, kw_only=True):
    """All of it, in the order of IdP and user. `totals` count everyone, however few are listed."""

    totals: Totals
    entered: tuple[Row, ...]
    left: tuple[Left, ...]
    changed: tuple[Changed, ...]
    idps: tuple[IdpChange, ...]


class Diff(Difference, frozen=True, kw_only=True):
    """A difference, and between which places of the log it is."""

    first: AsOf
    second: AsOf


class Comparison:
    """Two moments' worklists, compared user by user. Of each kind it keeps the first `limit`; all are counted.

    `between` are the events that led from the one moment to the other. Those that concern a user may be left out: they
    change nothing here. With `idp`, only that IdP is told of.
    """

    def __init__(
        self,
        before: idp_scopes.State,
        after: idp_scopes.State,
        between: Iterable[Recorded],
        *,
        idp: str | None = None,
        limit: int | None = None,
    ) -> None:
        self._before, self._after = _Side(before), _Side(after)
        profiles = {name: one.profile for name, one in {**before.idps, **after.idps}.items()}
        self._moves = _Moves(before, between, profiles)
        self._idp, self._limit = idp, limit
        self._entered: list[Row] = []
        self._left: list[Left] = []
        self._changed: list[Changed] = []
        self._counts: Counter[str] = Counter()

    def take(self, was: UserGrant | None, now: UserGrant) -> None:
        """One user's grant at one IdP at either moment. Users come in the order of IdP and user.

        Who cannot have moved need not come: whose grant is the same, and is judged the same.
        """
        if self._idp not in (None, now.idp):
            return
        earlier, later = self._before.row(was), self._after.row(now)
        self._counts["before"] += earlier is not None
        if earlier is None and later is not None:
            self._note("entered", self._entered, later)
        elif earlier is not None and later is None:
            self._note("left", self._left, self._gone(earlier, was, now))
        elif earlier is not None and later is not None and self._before.told(earlier) != self._after.told(later):
            self._note("changed", self._changed, Changed(earlier, later))

    def found(self, before: int | None = None) -> Difference:
        """What was found. `before`: how many were on the worklist at first, where not every user came."""
        counts, on_it = self._counts, self._counts["before"] if before is None else before
        return Difference(
            totals=Totals(
                before=on_it,
                after=on_it + counts["entered"] - counts["left"],
                entered=counts["entered"],
                left=counts["left"],
                changed=counts["changed"],
            ),
            entered=tuple(self._entered),
            left=tuple(self._left),
            changed=tuple(self._changed),
            idps=tuple(self._idp_changes()),
        )

    def _note(self, kind: str, listed: list[T], one: T) -> None:
        self._counts[kind] += 1
        if self._limit is None or len(listed) < self._limit:
            listed.append(one)

    def _gone(self, row: Row, was: UserGrant | None, now: UserGrant) -> Left:
        if now.erased is not None:
            return Left(row, "erased", now.stored, None)
        if now.removed is not None:
            return Left(row, "removed", now.stored, Reason(name_of(IdpRemoved), None, now.removed))
        status = self._after.judged(now).status
        assert status != "missing"
        return Left(row, status, now.stored, self._freed_by(row, was, now))

    def _freed_by(self, row: Row, was: UserGrant | None, now: UserGrant) -> Reason | None:
        """What changed at the IdP, if it was that, and not what the user granted, which ended what was lacking."""
        by_idp = self._moves.lessened(row)
        if was is None or by_idp is None or was.stored == now.stored:
            return by_idp
        without_user = self._after.judged(was).status != "missing"
        without_idp = self._before.judged(now).status != "missing"
        if without_user == without_idp:
            idp_first = by_idp.cause < now.stored
            return by_idp if idp_first == without_user else None
        return by_idp if without_user else None

    def _idp_changes(self) -> Iterable[IdpChange]:
        names = [
            name for name in sorted({*self._before.scopes.idps, *self._after.scopes.idps}) if self._idp in (None, name)
        ]
        return _idp_changes(names, self._before.scopes, self._after.scopes, self._moves)


class _Side:
    """One of two moments: what IdPs need there, and what the grants that were looked at are worth."""

    def __init__(self, scopes: idp_scopes.State) -> None:
        self.scopes = scopes
        self._needs: dict[str, Requirements] = {}
        self._judged: dict[tuple[str, Grant], Judgement] = {}

    def judged(self, held: UserGrant) -> Judgement:
        """What a grant is worth. Each grant set is judged once."""
        key = held.idp, held.grant
        if (known := self._judged.get(key)) is None:
            idp = self.scopes.idp(held.idp)
            if held.idp not in self._needs:
                self._needs[held.idp] = requirements(idp)
            known = self._judged[key] = judge(idp, held.grant, self._needs[held.idp])
        return known

    def row(self, held: UserGrant | None) -> Row | None:
        """The user's row of the worklist, if there is one."""
        if held is None or not held.present:
            return None
        judgement = self.judged(held)
        profile = self.scopes.idp(held.idp).profile
        return row_of(held, judgement, profile) if judgement.status == "missing" else None

    def told(self, row: Row) -> "_Told":
        """What is told of a row, beside since when and until when it is so."""
        profile = self.scopes.idp(row.idp).profile
        names = canonical(profile, (lack.scope for lack in row.missing))
        return _Told(
            row.missing,
            # Whether a provider gives a scope to nobody follows from other users: that changes nobody's row.
            reasons(row.missing, standing_of(row), profile, lambda _: (1, 0)),
            row.known_by,
            row.cleared.reason if row.cleared else None,
            tuple((one.publisher, one.resource_type, one.missing) for one in row.reports),
            tuple(one.scope for one in row.ungiven if one.times >= ASKED_AT_MOST and one.scope in names),
        )


class _Told(NamedTuple):
    missing: tuple[Lack, ...]
    why: Mapping[str, Why]
    known_by: str
    cleared: str | None
    reports: tuple[tuple[str, str, tuple[str, ...]], ...]
    in_vain: tuple[str, ...]


def difference(
    before: State, after: State, between: Iterable[Recorded], *, idp: str | None = None, limit: int | None = None
) -> Difference:
    """What makes the worklist of `before` that of `after`. The rest is as `Comparison` has it."""
    comparison = Comparison(before.scopes, after.scopes, between, idp=idp, limit=limit)
    for key in sorted(after.grants):
        comparison.take(before.grants.get(key), after.grants[key])
    return comparison.found()


def _idp_changes(
    names: Iterable[str], before: idp_scopes.State, after: idp_scopes.State, moves: "_Moves"
) -> Iterable[IdpChange]:
    for name in names:
        was, now = (_asked(scopes.idp(name), moves.profile(name)) for scopes in (before, after))
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


def _asked(idp: Idp, profile: Profile) -> dict[Aspect, dict[str, str]]:
    """What an IdP is asked for, each aspect in an order that the state gives: by name, each as it is spelled.

    A union has every spelling. For the rest, another spelling of a scope is the same one.
    """
    connectors = (connector for _, connector in sorted(idp.connectors.items()))
    needs = (need.scope for part in (idp.base, *(connector.needs for connector in connectors)) for need in part)

    def named(scopes: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for scope in scopes:
            found.setdefault(canonical_name(profile, scope), scope)
        return found

    return {"union": {scope: scope for scope in idp.union}, "needed": named(needs), "withheld": named(idp.withheld)}


class _Moves:
    """Which event in between moved which scope of which IdP, and which touched an IdP's needs last.

    Scopes go by their names at the `profiles` that the IdPs have in the end.
    """

    def __init__(self, before: idp_scopes.State, between: Iterable[Recorded], profiles: Mapping[str, Profile]) -> None:
        self._profiles = profiles
        self._moves: dict[tuple[str, Aspect, str], list[Reason]] = {}
        self._unneeded: dict[tuple[str, str], Reason] = {}
        self._last: dict[str, Reason] = {}
        state = before
        for recorded in between:
            last, state = state, idp_scopes.fold(state, recorded)
            for name in {*last.idps, *state.idps}:
                if last.idps.get(name) is not state.idps.get(name):
                    self._note(last.idp(name), state.idp(name), _reason(recorded))

    def _note(self, was: Idp, now: Idp, reason: Reason) -> None:
        before, after = (_asked(one, self.profile(one.idp)) for one in (was, now))
        for aspect in ASPECTS:
            for scope in before[aspect].keys() ^ after[aspect].keys():
                self._moves.setdefault((now.idp, aspect, scope), []).append(reason)
        self._unneeded |= {(now.idp, scope): reason for scope in before["needed"].keys() - after["needed"].keys()}
        if (was.registration, was.connectors) != (now.registration, now.connectors):
            self._last[now.idp] = reason

    def profile(self, idp: str) -> Profile:
        """The profile by which an IdP's scopes go here."""
        return self._profiles.get(idp, PLAIN)

    def of(self, idp: str, aspect: Aspect, there: Mapping[str, str], elsewhere: Mapping[str, str]) -> tuple[Moved, ...]:
        """The scopes that are there and not elsewhere, with what moved them."""
        return tuple(
            Moved(scope, tuple(self._moves.get((idp, aspect, name), ())))
            for name, scope in there.items()
            if name not in elsewhere
        )

    def lessened(self, row: Row) -> Reason | None:
        """The last event in between after which a scope that the user lacked was needed no more, or any that
        touched what is needed: a connector may have come to take another list of scopes.
        """
        names = (canonical_name(self.profile(row.idp), lack.scope) for lack in row.missing)
        found = [self._unneeded[row.idp, name] for name in names if (row.idp, name) in self._unneeded]
        return max(found, key=lambda reason: reason.cause) if found else self._last.get(row.idp)


def _reason(recorded: Recorded) -> Reason:
    event = recorded.event
    about = event.connector if isinstance(event, ConnectorProvisioned | ConnectorDeprovisioned) else None
    return Reason(name_of(type(event)), about, recorded.cause)
