"""Which users must consent again, to what, since when and because of what?

Users are folded one by one, but judged by grant set: all who hold the same canonical grant at an IdP get the same
judgement, so a provisioned connector costs one judgement per grant set, however many users there are.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scopefold.consent import idp_scopes
from scopefold.consent.concerns import grants_concerned
from scopefold.consent.deadlines import Deadlines, Dies, dies
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.requirements import Because, Choice, Requirements, requirements
from scopefold.consent.ungiven import Asked, Declined, Ungiven, came_of_asking, left_out, said_no
from scopefold.contracts.events import (
    ConsentDeclined,
    IdpRemoved,
    TokenCleared,
    TokenInsufficient,
    TokenStored,
    UserErased,
)
from scopefold.contracts.recorded import Cause, Recorded
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import COVERED, Coverage, Grant, Missing, Unknown, canonical_grant, covers
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import union
from scopefold.scopes.update import refreshed, taken_as_told

MOST_REPORTED: Final = MAX_SCOPES
"""Scopes that reports count against one token: no more than an event can ask for. Without a bound, one service could
have every reader keep whatever it publishes with the user, and fold all of it again at each report."""


class Report(Struct, frozen=True):
    """A service saw that a token lacks scopes. Only the first report of each scope is kept."""

    publisher: str
    resource_type: str
    missing: tuple[str, ...]
    cause: Cause


class Cleared(Struct, frozen=True):
    """Why the token is gone, and which event says so."""

    reason: str
    cause: Cause


class UserGrant(Struct, frozen=True, gc=False):
    """What one user has granted at one IdP, how that is known, and which event made it so.

    A refresh raises the generation; `stored` stays the event that gave the grant its present extent.
    """

    user: str
    idp: str
    grant: Grant
    generation: int
    known_by: str
    stored: Cause
    reports: tuple[Report, ...] = ()
    ungiven: tuple[Ungiven, ...] = ()
    cleared: Cleared | None = None
    deadlines: Deadlines = Deadlines()
    erased: Cause | None = None
    """Nobody stands behind this user any more: nothing is judged, and whatever comes later changes nothing."""
    removed: Cause | None = None
    """The IdP was removed: nothing is judged until a later token comes."""
    declined: Declined | None = None
    """What the user said no to since the last consent. Nothing is judged by it."""
    not_renewed: tuple[str, ...] = ()
    """What was granted, by canonical names, and left out when the token was renewed. Nothing is judged by it."""
    not_told: Asked | None = None
    """What was asked for at the last consent, while nobody knows what came of it. Nothing is judged by it."""

    @property
    def disproved(self) -> tuple[str, ...]:
        """What calls have shown to be missing although it was granted, by canonical names."""
        return self.grant.disproved

    @property
    def present(self) -> bool:
        """Is there a user, and an IdP, of which something is needed?"""
        return self.erased is None and self.removed is None


class Lack(Struct, frozen=True):
    """A scope that a grant lacks, and everyone who needs it."""

    scope: str
    because: tuple[Because, ...]


class Judgement(Struct, frozen=True):
    """What a grant set is worth today. `lacks` is empty unless the status is `missing`."""

    status: Literal["covered", "missing", "unknown"]
    lacks: tuple[Lack, ...] = ()


class Row(Struct, frozen=True):
    """One user on the worklist of one IdP."""

    user: str
    idp: str
    missing: tuple[Lack, ...]
    since: Cause
    known_by: str
    stored: Cause
    reports: tuple[Report, ...]
    ungiven: tuple[Ungiven, ...]
    cleared: Cleared | None
    deadlines: Deadlines
    dies: Dies | None = None
    declined: Declined | None = None
    disproved: tuple[str, ...] = ()
    """What calls have shown to be missing although it was granted, by canonical names."""
    not_renewed: tuple[str, ...] = ()
    """What was granted, by canonical names, and left out when the token was renewed."""


class State(Struct, frozen=True):
    """What IdPs need, and what each user has granted there, by (IdP, user)."""

    scopes: idp_scopes.State = idp_scopes.EMPTY
    grants: dict[tuple[str, str], UserGrant] = {}

    def present(self) -> Iterator[UserGrant]:
        """All grants but those of users who were erased, and of IdPs that were removed."""
        return (held for held in self.grants.values() if held.present)


EMPTY: Final = State()


def fold(state: State, recorded: Recorded) -> State:
    """The state after one more event. Costs a copy of the grants: to fold many events, use `replay`."""
    return replay([recorded], state)


def replay(log: Iterable[Recorded], state: State = EMPTY) -> State:
    """The state after all these events, in their order."""
    scopes, grants = state.scopes, dict(state.grants)
    for recorded in log:
        scopes = fold_into(grants, scopes, recorded)
    return State(scopes, grants)


def fold_into(
    grants: dict[tuple[str, str], UserGrant], scopes: idp_scopes.State, recorded: Recorded
) -> idp_scopes.State:
    """One more event: `grants` is changed in its place, and what IdPs need from then on is given."""
    scopes = idp_scopes.fold(scopes, recorded)
    for key in grants_concerned(recorded, grants):
        after = fold_grant(grants.get(key), recorded, scopes.idp(key[0]).profile)
        if after is not None:
            grants[key] = after
    return scopes


def fold_grant(before: UserGrant | None, recorded: Recorded, profile: Profile) -> UserGrant | None:
    """One user's grant at one IdP after one more event that concerns it."""
    event = recorded.event
    if before is not None and before.erased is not None:
        return before
    if isinstance(event, UserErased):
        return UserGrant(event.user, event.idp, Grant((), ()), 0, "", recorded.cause, erased=recorded.cause)
    if isinstance(event, TokenStored):
        return _stored(before, event, recorded.cause, profile)
    if isinstance(event, TokenInsufficient):
        return _reported(before, event, recorded, profile)
    if isinstance(event, TokenCleared):
        return _cleared(before, event, recorded.cause)
    if isinstance(event, IdpRemoved) and before is not None:
        return _removed(before, recorded.cause)
    if isinstance(event, ConsentDeclined) and before is not None and before.removed is None:
        declined = said_no(before.declined, profile, event, before.grant, recorded.cause)
        return before if declined is before.declined else replace(before, declined=declined)
    return before


def _stored(before: UserGrant | None, event: TokenStored, cause: Cause, profile: Profile) -> UserGrant:
    """A token of a generation that is already known changes nothing: it came late, or twice.

    A refresh does not answer a report, and one that leaves the grant as it was does not date it anew.
    """
    if before is not None and event.generation <= before.generation:
        return before
    again = before if event.cause == "refresh" and before is not None and before.removed is None else None
    if again is None:
        answer = Grant(taken_as_told(profile, event.granted, event.requested), event.evidence)
    else:
        answer = refreshed(profile, again.grant, Grant(event.granted, event.evidence))
    grant = canonical_grant(profile, answer)
    ungiven, not_told = came_of_asking(
        profile,
        event,
        grant,
        cause,
        before=before.ungiven if before else (),
        not_told=again.not_told if again else None,
    )
    return UserGrant(
        user=event.user,
        idp=event.idp,
        grant=grant,
        generation=event.generation,
        known_by=again.known_by if again and event.granted is None else event.known_by,
        stored=again.stored if again and again.grant == grant else cause,
        reports=again.reports if again else (),
        deadlines=Deadlines(event.access_expires_at, event.idle_expires_at, event.absolute_expires_at),
        ungiven=ungiven,
        declined=again.declined if again else None,
        not_renewed=left_out(profile, again.not_renewed, again.grant, grant) if again else (),
        not_told=not_told,
    )


def _reported(
    before: UserGrant | None, event: TokenInsufficient, recorded: Recorded, profile: Profile
) -> UserGrant | None:
    """A report counts against the token that it is about; without a stored token there is nothing to disprove."""
    if before is None or before.cleared is not None or before.removed is not None:
        return before
    if event.generation is not None and event.generation < before.generation:
        return before
    known = set(canonical(profile, (scope for report in before.reports for scope in report.missing)))
    fresh: dict[str, str] = {}
    for scope in event.missing:
        if (name := canonical_name(profile, scope)) not in known:
            fresh.setdefault(name, scope)
    news = tuple(fresh.values())[: max(MOST_REPORTED - len(known), 0)]
    if not news:
        return before
    disproved = union(before.grant.disproved, news)
    report = Report(recorded.publisher, event.resource_type, news, recorded.cause)
    return replace(
        before,
        grant=canonical_grant(profile, Grant(before.grant.scopes, before.grant.evidence, disproved)),
        reports=(*before.reports, report),
    )


def _cleared(before: UserGrant | None, event: TokenCleared, cause: Cause) -> UserGrant | None:
    """Without a token nothing is granted any more. A token that came later is not meant."""
    if before is None or before.cleared is not None or event.generation < before.generation:
        return before
    if before.removed is not None:
        return replace(before, generation=event.generation)
    return replace(
        before,
        grant=Grant((), ()),
        generation=event.generation,
        stored=cause,
        reports=(),
        deadlines=Deadlines(),
        not_renewed=(),
        not_told=None,
        cleared=Cleared(event.reason, cause),
    )


def _removed(before: UserGrant, cause: Cause) -> UserGrant:
    """Nothing is left but how tokens are counted: one that the log hears of late is none of those that come anew."""
    return UserGrant(before.user, before.idp, Grant((), ()), before.generation, "", cause, removed=cause)


@lru_cache(maxsize=4096)
def grant_key(grant: Grant) -> str:
    """Names a canonical grant: equal grants have equal keys, in every process and for ever."""
    return hashlib.sha256(msgspec.json.encode(grant)).hexdigest()[:32]


def judge(idp: Idp, grant: Grant, needs: Requirements | None = None) -> Judgement:
    """What a grant is worth against everything that is needed at its IdP now.

    Who judges many grants of one IdP looks its `requirements` up once and passes them as `needs`.
    """
    if needs is None:
        needs = requirements(idp)
    plain = covers(idp.profile, grant, tuple(needs.scopes))
    judged: list[Coverage] = [plain]
    lacks = {scope: needs.scopes[scope] for scope in _missing(plain)}
    spelled = {canonical_name(idp.profile, scope): scope for scope in needs.scopes} if needs.choices else {}
    for choice in needs.choices:
        coverage = _serves(idp, grant, choice)
        judged.append(coverage)
        for told in _missing(coverage):
            because = choice.because
            if (need := choice.since.get(told)) is not None:
                because = replace(because, cause=need.cause, version=need.version)
            scope = spelled.setdefault(canonical_name(idp.profile, told), told)
            lacks[scope] = (*lacks.get(scope, needs.scopes.get(scope, ())), because)
    if lacks:
        lacks = _dated(idp, grant, lacks, needs)
        return Judgement("missing", tuple(Lack(scope, because) for scope, because in lacks.items()))
    return Judgement("unknown" if any(isinstance(one, Unknown) for one in judged) else "covered")


def _dated(
    idp: Idp, grant: Grant, lacks: dict[str, tuple[Because, ...]], needs: Requirements
) -> dict[str, tuple[Because, ...]]:
    """What is lacking, because of whom. A connector that a list served which the grant carries has needed nothing else
    of it until that list was taken away; what calls have disproved since, it carried then.
    """
    carried = Grant(grant.scopes, grant.evidence)
    served = {
        kind: max(had, key=lambda one: one.cause)
        for kind, lists in needs.taken_away.items()
        if (had := [one for one in lists if covers(idp.profile, carried, one.scopes) == COVERED])
    }

    def dated(because: Because) -> Because:
        until = served.get(because.resource_type or "")
        if until is None or until.cause <= because.cause:
            return because
        return replace(because, cause=until.cause, version=until.version)

    if not served:
        return lacks
    return {scope: tuple([dated(one) for one in because]) for scope, because in lacks.items()}


def _serves(idp: Idp, grant: Grant, choice: Choice) -> Coverage:
    """Any list serves. What is missing is told of those that the next login will bring."""
    coverage = covers(idp.profile, grant, choice.any_of)
    return covers(idp.profile, grant, choice.asked) if isinstance(coverage, Missing) else coverage


def _missing(coverage: Coverage) -> tuple[str, ...]:
    return coverage.scopes if isinstance(coverage, Missing) else ()


def row_of(held: UserGrant, judgement: Judgement, profile: Profile) -> Row:
    """The worklist row of a user whose grant was judged to miss something.

    What reports name is spelled as in what is missing, where it is the same scope.
    """
    spelled = {canonical_name(profile, lack.scope): lack.scope for lack in judgement.lacks} if held.reports else {}
    return Row(
        user=held.user,
        idp=held.idp,
        missing=judgement.lacks,
        since=min(_lacking_since(held, lack, profile) for lack in judgement.lacks),
        known_by="disproved" if held.grant.disproved else held.known_by,
        stored=held.stored,
        reports=tuple(
            replace(one, missing=tuple(spelled.get(canonical_name(profile, scope), scope) for scope in one.missing))
            for one in held.reports
        ),
        ungiven=held.ungiven,
        cleared=held.cleared,
        deadlines=held.deadlines,
        dies=dies(held.deadlines, held.grant.evidence),
        declined=held.declined,
        disproved=held.disproved,
        not_renewed=held.not_renewed,
    )


def disproves(grant: Grant, lacks: Iterable[Lack], profile: Profile) -> bool:
    """Have calls shown that a grant lacks any of this? Since when then differs between users who hold it."""
    return bool(grant.disproved) and any(canonical_name(profile, lack.scope) in grant.disproved for lack in lacks)


def _lacking_since(held: UserGrant, lack: Lack, profile: Profile) -> Cause:
    """The event that completed the lack: the need, the token without the scope, or the report against it."""
    needed = min(because.cause for because in lack.because)
    completed = max(needed, held.stored)
    if disproves(held.grant, [lack], profile):
        name = canonical_name(profile, lack.scope)
        reported = (report.cause for report in held.reports if name in canonical(profile, report.missing))
        completed = max(completed, min(reported, default=completed))
    return completed


def worklist(state: State) -> Iterator[Row]:
    """Everyone who must consent again, ordered by IdP, grant set and user."""
    sets = {(grant_key(held.grant), held.idp): held.grant for held in state.present()}
    needs = {idp: requirements(state.scopes.idp(idp)) for idp in {idp for _, idp in sets}}
    judged = {(key, idp): judge(state.scopes.idp(idp), grant, needs[idp]) for (key, idp), grant in sets.items()}
    for held in sorted(state.present(), key=lambda held: (held.idp, grant_key(held.grant), held.user)):
        judgement = judged[grant_key(held.grant), held.idp]
        if judgement.status == "missing":
            yield row_of(held, judgement, state.scopes.idp(held.idp).profile)
