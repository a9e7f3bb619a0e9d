"""What a command leads to: an event to append, an answer that the log holds already, or a refusal."""

from collections.abc import Callable, Mapping
from typing import Final, assert_never
from uuid import UUID, uuid5

from msgspec import Struct

from scopefold.consent.attribution import asks, more_than_fits
from scopefold.consent.idp_scopes import Registration
from scopefold.contracts.commands import DeprovisionConnector, ManagedResource, ProvisionConnector
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.contracts.words import MAX_SCOPES, resource_type_of
from scopefold.provisioner.core.installed import State
from scopefold.provisioner.core.manifest import Manifest, fitting_profiles
from scopefold.scopes.lint import lint

Command = ProvisionConnector | DeprovisionConnector
COMMANDS: Final = UUID("6d1f7a52-0f6e-5b0c-9d0e-3c6f2f3b8a41")
"""The UUIDv5 namespace of command keys. Fixed for ever: the log's memory of used keys rests on it."""


class Refused(Struct, frozen=True, kw_only=True):
    """The command may not take effect now: why, and what to do. `status` is its HTTP status."""

    status: int
    kind: str
    title: str
    detail: str


class Append(Struct, frozen=True):
    """Append this event under the command's event id, then decide again: the log then holds the answer."""

    event: ConnectorProvisioned | ConnectorDeprovisioned


class Answer(Struct, frozen=True):
    """Nothing is left to append. `changed` says whether this command's own event made it so."""

    changed: bool
    resource: ManagedResource


def event_id_of(tenant: str, idempotency_key: str) -> str:
    """The id of the event that a command under this key leads to: always the same one."""
    return str(uuid5(COMMANDS, f"{tenant}\n{idempotency_key}"))


def decide(
    state: State, manifests: Mapping[str, Manifest], command: Command, event_id: str
) -> Append | Answer | Refused:
    """What the command leads to. `event_id` is its event's id, the same at every try of the command."""
    if (answered := state.answers.get(event_id)) is not None:
        return Answer(True, answered.resource) if _led_to(command, answered.event) else _key_reused(command)
    match command:
        case ProvisionConnector():
            return _provision(state, manifests.get(command.connector), command)
        case DeprovisionConnector():
            return _deprovision(state, command)
    assert_never(command)


def not_provisioned(connector: str) -> Refused:
    """The refusal of whoever asks about a connector that is not installed."""
    return Refused(
        status=404,
        kind="not-provisioned",
        title="This connector is not provisioned",
        detail=f"{connector} serves no IdP. See what is provisioned with GET /v1/managed-resources.",
    )


def unknown_connector(connector: str) -> Refused:
    """The refusal of whoever names a connector of which there is no manifest."""
    return Refused(
        status=404,
        kind="unknown-connector",
        title="There is no such connector",
        detail=f"There is no manifest of {connector}. See which there are with GET /v1/connectors.",
    )


class _Case(Struct, frozen=True):
    state: State
    command: ProvisionConnector
    manifest: Manifest | None

    @property
    def registration(self) -> Registration | None:
        idp = self.state.scopes.idps.get(self.command.idp)
        return None if idp is None else idp.registration


def _unknown_connector(case: _Case) -> Refused | None:
    return unknown_connector(case.command.connector) if case.manifest is None else None


def _unsupported_auth_mode(case: _Case) -> Refused | None:
    if case.manifest is None or case.manifest.auth.idp_passthrough is not None:
        return None
    return Refused(
        status=422,
        kind="unsupported-auth-mode",
        title="The connector does not offer this auth mode",
        detail=f"The manifest of {case.command.connector} has no auth option {case.command.auth_mode}. "
        "Add the option to the manifest, or choose another connector.",
    )


def _unknown_idp(case: _Case) -> Refused | None:
    if case.registration is not None:
        return None
    return Refused(
        status=409,
        kind="unknown-idp",
        title="This IdP is not registered",
        detail=f"No IdP was registered as {case.command.idp}. Register it at the auth service, then send this again.",
    )


def _profile_differs(case: _Case) -> Refused | None:
    if case.manifest is None or case.registration is None:
        return None
    fitting, given = fitting_profiles(case.manifest), case.registration.event.profile
    if given in fitting:
        return None
    return Refused(
        status=409,
        kind="profile-mismatch",
        title="The connector needs another kind of IdP",
        detail=f"{case.command.connector} needs an IdP of profile {' or '.join(fitting)}; {case.command.idp} is of "
        f"profile {given}, another authorization server with scopes of its own. Register one that fits, and name that.",
    )


def _routed_elsewhere(case: _Case) -> Refused | None:
    current = case.state.resource(case.command.connector)
    if current is None or current.idp == case.command.idp:
        return None
    return Refused(
        status=409,
        kind="routed-elsewhere",
        title="The resource type is served through another IdP",
        detail=f"{current.resource_type} is routed to {current.idp}. Deprovision it there first: "
        f"DELETE /v1/managed-resources/{case.command.connector}.",
    )


def _scopes_clash(case: _Case) -> Refused | None:
    """What would break every login is refused here, where it would begin; what is only doubtful is not.

    Alternatives break none: they are never asked for.
    """
    idp = case.state.scopes.idps.get(case.command.idp)
    if case.manifest is None or case.manifest.auth.idp_passthrough is None or idp is None or idp.registration is None:
        return None
    asked = asks(idp, {case.command.connector: case.manifest.auth.idp_passthrough.asked})
    for finding in lint(idp.profile, asked):
        if finding.severity == "hard" and case.command.connector in finding.asked_by:
            return Refused(
                status=409, kind="scopes-clash", title="These scopes do not go together", detail=finding.says
            )
    return None


def _too_many_scopes(case: _Case) -> Refused | None:
    """What no login can ask for brings nobody anything. Alternatives are never asked for."""
    idp = case.state.scopes.idps.get(case.command.idp)
    if case.manifest is None or case.manifest.auth.idp_passthrough is None or idp is None:
        return None
    if (asked := more_than_fits(idp.profile, idp.union, case.manifest.auth.idp_passthrough.asked)) is None:
        return None
    return Refused(
        status=409,
        kind="too-many-scopes",
        title="No login can ask for so many scopes",
        detail=f"With {case.command.connector}, every login at {case.command.idp} would ask for {asked} scopes, "
        f"and {MAX_SCOPES} is the most. See what nobody needs any more: scopefold idp scopes {case.command.idp}. Or "
        "register another IdP for it.",
    )


PROVISION_CHECKS: Final[tuple[Callable[[_Case], Refused | None], ...]] = (
    _unknown_connector,
    _unsupported_auth_mode,
    _unknown_idp,
    _profile_differs,
    _routed_elsewhere,
    _scopes_clash,
    _too_many_scopes,
)
"""What may speak against a provisioning. Each check stands alone; the first that speaks is the one told."""


def _provision(state: State, manifest: Manifest | None, command: ProvisionConnector) -> Append | Answer | Refused:
    case = _Case(state, command, manifest)
    for check in PROVISION_CHECKS:
        if (refused := check(case)) is not None:
            return refused
    assert manifest is not None
    assert manifest.auth.idp_passthrough is not None
    event = ConnectorProvisioned(
        resource_type=resource_type_of(command.connector),
        connector=command.connector,
        connector_version=manifest.version,
        title=manifest.title,
        auth_mode=command.auth_mode,
        idp=command.idp,
        upstream_scopes=manifest.auth.idp_passthrough.asked,
        alternatives=manifest.auth.idp_passthrough.alternatives,
    )
    current = state.resource(command.connector)
    if current is not None and state.answers[current.event_id].event == event:
        return Answer(False, current)
    return Append(event)


def _deprovision(state: State, command: DeprovisionConnector) -> Append | Refused:
    current = state.resource(command.connector)
    if current is None:
        return not_provisioned(command.connector)
    return Append(
        ConnectorDeprovisioned(resource_type=current.resource_type, connector=current.connector, idp=current.idp)
    )


def _led_to(command: Command, event: ConnectorProvisioned | ConnectorDeprovisioned) -> bool:
    """Could this command have led to this event?"""
    match command:
        case ProvisionConnector():
            asked = (command.connector, command.idp, command.auth_mode)
            return isinstance(event, ConnectorProvisioned) and (event.connector, event.idp, event.auth_mode) == asked
        case DeprovisionConnector():
            return isinstance(event, ConnectorDeprovisioned) and event.connector == command.connector
    assert_never(command)


def _key_reused(command: Command) -> Refused:
    return Refused(
        status=422,
        kind="idempotency-key-reused",
        title="The idempotency key was used for another command",
        detail=f"The key {command.idempotency_key} belongs to a command that asked for something else. "
        "Send this command under a new key.",
    )
