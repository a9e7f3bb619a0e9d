"""What is installed where, and which event answered which command?"""

from typing import Final, assert_never

from msgspec import Struct

from scopefold.consent import idp_scopes
from scopefold.contracts.commands import ManagedResource
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
from scopefold.contracts.words import resource_type_of


class Answered(Struct, frozen=True):
    """What a command led to: its event, and the resource as that event made it or last saw it."""

    event: ConnectorProvisioned | ConnectorDeprovisioned
    resource: ManagedResource


class State(Struct, frozen=True):
    """The IdPs with their connectors, and every connector event by its id.

    A command's event id is made from its idempotency key, so the log itself remembers which keys were used.
    """

    scopes: idp_scopes.State = idp_scopes.EMPTY
    answers: dict[str, Answered] = {}

    @property
    def resources(self) -> tuple[ManagedResource, ...]:
        """Everything that is provisioned, in the order of the resource types."""
        found = [
            self.answers[c.cause.event_id].resource for i in self.scopes.idps.values() for c in i.connectors.values()
        ]
        return tuple(sorted(found, key=lambda resource: resource.resource_type))

    def resource(self, connector: str) -> ManagedResource | None:
        """The resource that a connector serves now, if it is provisioned."""
        found = self.scopes.connector(resource_type_of(connector))
        return None if found is None else self.answers[found[1].cause.event_id].resource


EMPTY: Final = State()


def fold(state: State, recorded: Recorded) -> State:
    """The state after one more event."""
    event = recorded.event
    scopes = idp_scopes.fold(state.scopes, recorded)
    match event:
        case ConnectorProvisioned():
            answered = Answered(event, _resource(event, recorded.cause))
            return State(scopes, {**state.answers, recorded.event_id: answered})
        case ConnectorDeprovisioned():
            last = state.resource(event.connector)
            if last is None or last.idp != event.idp:
                return State(scopes, state.answers)
            return State(scopes, {**state.answers, recorded.event_id: Answered(event, last)})
        case (
            IdpRegistered()
            | ScopesWithheld()
            | ScopesRestored()
            | ScopesPruned()
            | IdpRemoved()
            | UserLoggedIn()
            | TokenStored()
            | TokenInsufficient()
            | ConsentDeclined()
            | AuthorizationFailed()
            | GrantRevoked()
            | TokenCleared()
            | UserErased()
        ):
            return State(scopes, state.answers)
    assert_never(event)


def _resource(event: ConnectorProvisioned, cause: Cause) -> ManagedResource:
    return ManagedResource(
        resource_type=event.resource_type,
        connector=event.connector,
        connector_version=event.connector_version,
        title=event.title,
        auth_mode=event.auth_mode,
        idp=event.idp,
        upstream_scopes=event.upstream_scopes,
        alternatives=event.alternatives,
        provisioned_at=cause.at,
        event_id=cause.event_id,
        seq=cause.seq,
    )
