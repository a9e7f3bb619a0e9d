"""What must each IdP be asked for, because of which connector, and where is each resource type routed?"""

from collections.abc import Mapping
from functools import cached_property
from typing import Final, Literal, assert_never

from msgspec import Struct
from msgspec.structs import replace

from scopefold.consent import trials
from scopefold.consent.failures import Failures, counted
from scopefold.consent.origins import Origin, settled
from scopefold.consent.trials import Trials
from scopefold.contracts.events import (
    AuthorizationFailed,
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    ConsentDeclined,
    GrantRevoked,
    IdpRegistered,
    IdpRemoved,
    ScopesPruned,
    ScopesRestored,
    ScopesWithheld,
    TokenCleared,
    TokenInsufficient,
    TokenStored,
    UserErased,
    UserLoggedIn,
)
from scopefold.contracts.recorded import Cause, Recorded
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.profile import PLAIN, Profile
from scopefold.scopes.shipped import UnknownProfile, profile_named
from scopefold.scopes.union import union

MOST_TAKEN_AWAY: Final = 64
"""Lists that a connector is remembered to have had. Without a bound, the state would grow with each version."""


class Need(Struct, frozen=True):
    """A scope is needed, under whatever spelling, without interruption since `cause`: by a connector, provisioned then
    in this version, or as a base scope of an IdP, which was registered with it then.
    """

    scope: str
    cause: Cause
    version: str = ""


class TakenAway(Struct, frozen=True):
    """A list of scopes that served a connector until `cause`, when it was provisioned in this version without it."""

    scopes: tuple[str, ...]
    cause: Cause
    version: str


class Connector(Struct, frozen=True):
    """A connector that serves its resource type through an IdP, as it was last provisioned."""

    resource_type: str
    connector: str
    version: str
    title: str
    auth_mode: str
    needs: tuple[Need, ...]
    cause: Cause
    alternatives: tuple[tuple[str, ...], ...] = ()
    """Lists of scopes, each of which serves in place of all that it needs."""
    others: tuple[Need, ...] = ()
    """What of these lists it does not need, each since when it has been in one."""
    taken_away: tuple[TakenAway, ...] = ()
    """Lists that were among several of which one serves, and are not any more, the latest last. Whoever holds one has
    been served by it until then.
    """

    @property
    def upstream_scopes(self) -> tuple[str, ...]:
        """What the connector needs, in its manifest's order."""
        return tuple(need.scope for need in self.needs)

    @property
    def clauses(self) -> tuple[tuple[str, ...], ...]:
        """The lists of scopes of which any one serves, what it needs first."""
        return (self.upstream_scopes, *self.alternatives)


class Registration(Struct, frozen=True):
    """How an operator registered an IdP."""

    event: IdpRegistered
    cause: Cause


class Want(Struct, frozen=True):
    """Somebody wants a scope, since `cause`: an IdP's own base scopes (`connector` is None), a connector that needs it,
    or one that it serves as a part of one of several lists.
    """

    how: Literal["base", "needs", "any-of"]
    connector: str | None
    title: str
    resource_type: str | None
    cause: Cause


class Idp(Struct, frozen=True):
    """One identity provider. `union` stands in the order of first sight, and shrinks by nothing but `ScopesPruned`. One
    that was removed is none: what comes of it later begins anew.

    `withheld` is what logins leave out for now, `restored` since when people are asked anew for a scope, by its
    canonical name, `trials` what was newly asked for and has not proved itself, `failures` how logins failed.
    """

    idp: str
    registration: Registration | None = None
    union: tuple[str, ...] = ()
    connectors: dict[str, Connector] = {}
    withheld: tuple[str, ...] = ()
    restored: dict[str, Cause] = {}
    trials: Trials = ()
    failures: tuple[Failures, ...] = ()
    origins: dict[str, Origin] = {}
    """How each scope of the union came into it."""
    first_registered: Cause | None = None
    """The event that registered it first, or first since it was removed."""
    base: tuple[Need, ...] = ()
    """Its base scopes. Who registers it anew with the same ones does not date them anew."""

    @property
    def wants(self) -> dict[str, tuple[Want, ...]]:
        """Who wants which scope, by canonical name: base scopes first, then connectors by resource type."""
        found: dict[str, tuple[Want, ...]] = {}

        def note(scope: str, want: Want) -> None:
            name = canonical_name(self.profile, scope)
            if all((one.how, one.connector) != (want.how, want.connector) for one in found.get(name, ())):
                found[name] = (*found.get(name, ()), want)

        for need in self.base:
            note(need.scope, Want("base", None, self.idp, None, need.cause))
        for kind, one in sorted(self.connectors.items()):
            for need in one.needs:
                how: Literal["needs", "any-of"] = "any-of" if one.alternatives else "needs"
                note(need.scope, Want(how, one.connector, one.title, kind, need.cause))
            for need in one.others:
                note(need.scope, Want("any-of", one.connector, one.title, kind, need.cause))
        return found

    @property
    def profile(self) -> Profile:
        """The provider profile; a neutral one while the IdP or its profile is not known here."""
        if self.registration is None:
            return PLAIN
        try:
            return profile_named(self.registration.event.profile)
        except UnknownProfile:
            return PLAIN


class State(Struct, frozen=True, dict=True):  # dict: where cached_property keeps what it worked out
    """All IdPs of a tenant, by id."""

    idps: dict[str, Idp] = {}
    removed: dict[str, Cause] = {}
    """Which event removed an IdP last: of those that have been removed, whether or not they have come anew."""

    @cached_property
    def routes(self) -> Mapping[str, str]:
        """Resource type to the IdP that serves it."""
        return {kind: idp.idp for idp in self.idps.values() for kind in idp.connectors}

    def idp(self, name: str) -> Idp:
        """An IdP; one of which nothing is needed, where there is none of this name."""
        return self.idps.get(name) or Idp(name)

    def connector(self, resource_type: str) -> tuple[Idp, Connector] | None:
        """The connector that serves a resource type, with its IdP."""
        for idp in self.idps.values():
            if resource_type in idp.connectors:
                return idp, idp.connectors[resource_type]
        return None


EMPTY: Final = State()


def fold(state: State, recorded: Recorded) -> State:
    """The state after one more event."""
    after = _folded(state, recorded)
    event = recorded.event
    if not isinstance(event, IdpRegistered | ConnectorProvisioned | ConnectorDeprovisioned | ScopesPruned):
        return after
    by = event.connector if isinstance(event, ConnectorProvisioned | ConnectorDeprovisioned) else None

    def traced(idp: Idp) -> Idp:
        origins = settled(idp.origins, idp.profile, idp.union, idp.wants, cause=recorded.cause, connector=by)
        return replace(idp, origins=origins)

    idps = {name: one if one is state.idps.get(name) else traced(one) for name, one in after.idps.items()}
    return State(idps, after.removed)


def _folded(state: State, recorded: Recorded) -> State:
    event = recorded.event
    match event:
        case IdpRegistered():
            return _with(state, _registered(state.idp(event.idp), event, recorded.cause))
        case ConnectorProvisioned():
            moved = _without(state, event.resource_type, keep=event.idp)
            idp = moved.idp(event.idp)
            connector = _provisioned(idp.connectors.get(event.resource_type), event, recorded.cause, idp.profile)
            return _with(
                moved,
                replace(
                    idp,
                    union=union(idp.union, event.upstream_scopes),
                    connectors={**idp.connectors, event.resource_type: connector},
                    trials=trials.begun(idp.trials, idp.profile, idp.union, event, recorded.cause),
                ),
            )
        case ConnectorDeprovisioned():
            at_idp = state.idps.get(event.idp)
            if at_idp is None or event.resource_type not in at_idp.connectors:
                return state
            return _without(state, event.resource_type)
        case ScopesWithheld():
            idp = state.idp(event.idp)
            return _with(state, replace(idp, withheld=union(idp.withheld, event.scopes)))
        case ScopesPruned():
            at_idp = state.idps.get(event.idp)
            return state if at_idp is None else _with(state, _pruned(at_idp, event))
        case IdpRemoved():
            idps = {name: idp for name, idp in state.idps.items() if name != event.idp}
            return State(idps, {**state.removed, event.idp: recorded.cause})
        case ScopesRestored():
            return _with(state, _restored(state.idp(event.idp), event, recorded.cause))
        case AuthorizationFailed() | TokenStored():
            return _tried(state, event, recorded.cause)
        case UserLoggedIn() | TokenInsufficient() | TokenCleared() | UserErased() | ConsentDeclined() | GrantRevoked():
            return state
    assert_never(event)


def _registered(idp: Idp, event: IdpRegistered, cause: Cause) -> Idp:
    after = replace(
        idp,
        registration=Registration(event, cause),
        first_registered=idp.first_registered or cause,
        union=union(idp.union, event.base_scopes),
    )
    return replace(after, base=_needed(idp.base, event.base_scopes, after.profile, cause, ""))


def _restored(idp: Idp, event: ScopesRestored, cause: Cause) -> Idp:
    names = canonical(idp.profile, event.scopes)
    return replace(
        idp,
        withheld=tuple(scope for scope in idp.withheld if canonical_name(idp.profile, scope) not in names),
        restored={**idp.restored, **dict.fromkeys(names, cause)},
        trials=trials.restarted(idp.trials, idp.profile, event.scopes),
    )


def _pruned(idp: Idp, event: ScopesPruned) -> Idp:
    """Who decided it saw to it that nobody wanted them; what somebody wants all the same stays."""
    gone = set(canonical(idp.profile, event.scopes)) - idp.wants.keys()

    def kept(scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(scope for scope in scopes if canonical_name(idp.profile, scope) not in gone)

    left = trials.without(idp.trials, idp.profile, gone)
    return replace(idp, union=kept(idp.union), withheld=kept(idp.withheld), trials=left)


def _tried(state: State, event: AuthorizationFailed | TokenStored, cause: Cause) -> State:
    """Somebody came through, or did not: it matters while something that was newly asked for has not proved itself."""
    if (idp := state.idps.get(event.idp)) is None:
        return state
    if isinstance(event, AuthorizationFailed):
        after = trials.failed(idp.trials, idp.profile, event, cause)
        return _with(state, replace(idp, trials=after, failures=counted(idp.failures, event, cause)))
    if not idp.trials:
        return state
    after = trials.came_through(idp.trials, idp.profile, event)
    return state if after is idp.trials else _with(state, replace(idp, trials=after))


def _needed(
    before: tuple[Need, ...], scopes: tuple[str, ...], profile: Profile, cause: Cause, version: str
) -> tuple[Need, ...]:
    """What is needed now, keeping since when, in which version, what was needed before has been."""
    since: dict[str, Need] = {}
    for need in before:
        since.setdefault(canonical_name(profile, need.scope), need)
    known = ((scope, since.get(canonical_name(profile, scope))) for scope in dict.fromkeys(scopes))
    return tuple(Need(scope, cause, version) if need is None else replace(need, scope=scope) for scope, need in known)


def _provisioned(before: Connector | None, event: ConnectorProvisioned, cause: Cause, profile: Profile) -> Connector:
    version, needs, others = event.connector_version, *((before.needs, before.others) if before else ((), ()))
    listed = union(*event.alternatives)
    after = Connector(
        resource_type=event.resource_type,
        connector=event.connector,
        version=event.connector_version,
        title=event.title,
        auth_mode=event.auth_mode,
        needs=_needed(needs, event.upstream_scopes, profile, cause, version),
        cause=cause,
        alternatives=event.alternatives,
        others=_needed(
            (*needs, *others), tuple(s for s in listed if s not in event.upstream_scopes), profile, cause, version
        ),
    )
    return after if before is None else replace(after, taken_away=_taken_away(before, after, profile))


def _taken_away(before: Connector, after: Connector, profile: Profile) -> tuple[TakenAway, ...]:
    """The lists that served once and do not now. Where there was but one, the needs that came after it have dates of
    their own, all of them later than it.
    """
    serve = {frozenset(canonical(profile, clause)) for clause in after.clauses}
    gone = before.clauses if before.alternatives else ()
    found = (*before.taken_away, *(TakenAway(clause, after.cause, after.version) for clause in gone))
    latest = {frozenset(canonical(profile, one.scopes)): one for one in found}
    return tuple(one for names, one in latest.items() if names not in serve)[-MOST_TAKEN_AWAY:]


def _with(state: State, idp: Idp) -> State:
    return State({**state.idps, idp.idp: idp}, state.removed)


def _without(state: State, resource_type: str, *, keep: str | None = None) -> State:
    """The state in which no IdP, but `keep`, serves the resource type. Unions stay as they are."""
    idps = {
        name: replace(idp, connectors={kind: c for kind, c in idp.connectors.items() if kind != resource_type})
        if name != keep and resource_type in idp.connectors
        else idp
        for name, idp in state.idps.items()
    }
    return State(idps, state.removed)
