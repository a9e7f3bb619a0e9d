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
from scopefold.consent.idp_scopes import Connector, Idp, Need
from scopefold.consent.ungiven import Ungiven, asked_again
from scopefold.contracts.events import IdpRemoved, TokenCleared, TokenInsufficient, TokenStored, UserErased
from scopefold.contracts.recorded import Cause, Recorded
from scopefold.scopes.coverage import AnyOf, Coverage, Grant, Missing, Unknown, canonical_grant, covers
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import union
from scopefold.scopes.update import refreshed, taken_as_told


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

    @property
    def present(self) -> bool:
        """Is there a user, and an IdP, of which something is needed?"""
        return self.erased is None and self.removed is None


class Because(Struct, frozen=True):
    """Who needs a scope and since which event. `connector` is None for an IdP's own base scopes, and so is `version`,
    else the connector's at that event.
    """

    connector: str | None
    title: str
    resource_type: str | None
    cause: Cause
    version: str | None = None


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
        idp = scopes.idps.get(key[0])
        after = fold_grant(grants.get(key), recorded, (idp or Idp(key[0])).profile)
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
    return UserGrant(
        user=event.user,
        idp=event.idp,
        grant=grant,
        generation=event.generation,
        known_by=again.known_by if again and event.granted is None else event.known_by,
        stored=again.stored if again and again.grant == grant else cause,
        reports=again.reports if again else (),
        deadlines=Deadlines(event.access_expires_at, event.idle_expires_at, event.absolute_expires_at),
        ungiven=asked_again(before.ungiven if before else (), profile, event, grant, cause),
    )


def _reported(
    before: UserGrant | None, event: TokenInsufficient, recorded: Recorded, profile: Profile
) -> UserGrant | None:
    """A report counts against the token that it is about; without a stored token there is nothing to disprove."""
    if before is None or before.cleared is not None or before.removed is not None:
        return before
    if event.generation is not None and event.generation < before.generation:
        return before
    known = {scope for report in before.reports for scope in report.missing}
    news = tuple(scope for scope in dict.fromkeys(event.missing) if scope not in known)
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
        cleared=Cleared(event.reason, cause),
    )


def _removed(before: UserGrant, cause: Cause) -> UserGrant:
    """Nothing is left but how tokens are counted: one that the log hears of late is none of those that come anew."""
    return UserGrant(before.user, before.idp, Grant((), ()), before.generation, "", cause, removed=cause)


@lru_cache(maxsize=4096)
def grant_key(grant: Grant) -> str:
    """Names a canonical grant: equal grants have equal keys, in every process and for ever."""
    return hashlib.sha256(msgspec.json.encode(grant)).hexdigest()[:32]


class Choice(Struct, frozen=True):
    """A connector that one of several lists of scopes serves. The first of `asked` is what the IdP is asked for."""

    because: Because
    since: dict[str, Need]
    any_of: AnyOf
    asked: AnyOf


class Requirements(Struct, frozen=True):
    """What is needed at an IdP: every scope of `scopes`, with everyone who needs it, and one list of each choice."""

    scopes: dict[str, tuple[Because, ...]]
    choices: tuple[Choice, ...] = ()


def requirements(idp: Idp, resource_type: str | None = None) -> Requirements:
    """What is needed at an IdP now: by everyone, or for one resource type, whoever else needs it too.

    In an order that the state alone gives, not the history of the mapping that holds it: base scopes first, then
    connectors by resource type.
    """
    needs: dict[str, tuple[Because, ...]] = {}
    choices = []
    if (registration := idp.registration) is not None:
        for scope in registration.event.base_scopes:
            needs[scope] = (Because(None, idp.idp, None, registration.cause),)
    for kind, connector in sorted(idp.connectors.items()):
        if connector.alternatives:
            if resource_type in (None, kind):
                choices.append(_choice(idp, connector))
            continue
        for need in connector.needs:
            because = _because(connector, need)
            needs[need.scope] = (*needs.get(need.scope, ()), because)
    if resource_type is not None:
        wanted = idp.connectors[resource_type]
        own = () if wanted.alternatives else wanted.upstream_scopes
        needs = {scope: because for scope, because in needs.items() if scope in own}
    return Requirements(needs, tuple(choices))


def _choice(idp: Idp, connector: Connector) -> Choice:
    """A list of which the IdP is asked for nothing can serve, but a login will not bring it: it is not `asked`."""
    clauses = (connector.upstream_scopes, *connector.alternatives)
    asked = tuple(clause for clause in clauses if set(clause) <= set(idp.union))
    return Choice(
        because=_because(connector, Need("", connector.cause, connector.version)),
        since={need.scope: need for need in connector.needs},
        any_of=AnyOf(clauses),
        asked=AnyOf(asked or clauses[:1]),
    )


def _because(connector: Connector, need: Need) -> Because:
    return Because(connector.connector, connector.title, connector.resource_type, need.cause, need.version)


def judge(idp: Idp, grant: Grant, needs: Requirements | None = None) -> Judgement:
    """What a grant is worth against everything that is needed at its IdP now.

    Who judges many grants of one IdP looks its `requirements` up once and passes them as `needs`.
    """
    if needs is None:
        needs = requirements(idp)
    plain = covers(idp.profile, grant, tuple(needs.scopes))
    judged: list[Coverage] = [plain]
    lacks = {scope: needs.scopes[scope] for scope in _missing(plain)}
    for choice in needs.choices:
        coverage = _serves(idp, grant, choice)
        judged.append(coverage)
        for scope in _missing(coverage):
            because = choice.because
            if (need := choice.since.get(scope)) is not None:
                because = replace(because, cause=need.cause, version=need.version)
            lacks[scope] = (*lacks.get(scope, needs.scopes.get(scope, ())), because)
    if lacks:
        return Judgement("missing", tuple(Lack(scope, because) for scope, because in lacks.items()))
    return Judgement("unknown" if any(isinstance(one, Unknown) for one in judged) else "covered")


def _serves(idp: Idp, grant: Grant, choice: Choice) -> Coverage:
    """Any list serves. What is missing is told of those that the next login will bring."""
    coverage = covers(idp.profile, grant, choice.any_of)
    return covers(idp.profile, grant, choice.asked) if isinstance(coverage, Missing) else coverage


def _missing(coverage: Coverage) -> tuple[str, ...]:
    return coverage.scopes if isinstance(coverage, Missing) else ()


def row_of(held: UserGrant, judgement: Judgement) -> Row:
    """The worklist row of a user whose grant was judged to miss something."""
    return Row(
        user=held.user,
        idp=held.idp,
        missing=judgement.lacks,
        since=min(_lacking_since(held, lack) for lack in judgement.lacks),
        known_by="disproved" if held.grant.disproved else held.known_by,
        stored=held.stored,
        reports=held.reports,
        ungiven=held.ungiven,
        cleared=held.cleared,
        deadlines=held.deadlines,
        dies=dies(held.deadlines, held.grant.evidence),
    )


def _lacking_since(held: UserGrant, lack: Lack) -> Cause:
    """The event that completed the lack: the need, the token without the scope, or the report against it."""
    needed = min(because.cause for because in lack.because)
    completed = max(needed, held.stored)
    if lack.scope in held.grant.disproved:
        reported = (report.cause for report in held.reports if lack.scope in report.missing)
        completed = max(completed, min(reported, default=completed))
    return completed


def worklist(state: State) -> Iterator[Row]:
    """Everyone who must consent again, ordered by IdP, grant set and user."""
    sets = {(grant_key(held.grant), held.idp): held.grant for held in state.present()}
    needs = {idp: requirements(state.scopes.idps.get(idp) or Idp(idp)) for idp in {idp for _, idp in sets}}
    judged = {
        (key, idp): judge(state.scopes.idps.get(idp) or Idp(idp), grant, needs[idp])
        for (key, idp), grant in sets.items()
    }
    for held in sorted(state.present(), key=lambda held: (held.idp, grant_key(held.grant), held.user)):
        judgement = judged[grant_key(held.grant), held.idp]
        if judgement.status == "missing":
            yield row_of(held, judgement)
