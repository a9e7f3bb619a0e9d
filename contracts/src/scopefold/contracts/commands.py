"""Commands that other services send over NATS request/reply, and the answers they get.

A command with a field that it does not have is refused: whoever sends one means something by it, and would be told that
it was done. Events and answers are read by what is older than their writer, so there it is passed over.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from scopefold.contracts.words import Alternatives, ConnectorId, EventId, IdpId, ResourceType, Scopes

COMMAND: Final = "command"

IdempotencyKey = Annotated[
    str,
    Meta(
        pattern=r"^[\x21-\x7e]{8,100}(?![\s\S])",
        description="Chosen by the sender; the same command sent again under the same key takes effect once.",
        examples=["install-jira-2026-11-21"],
    ),
]


class ProvisionConnector(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command", tag="provision-connector"
):
    """Make a connector serve its resource type through an IdP."""

    connector: ConnectorId
    idp: IdpId
    auth_mode: Literal["idp_passthrough"] = "idp_passthrough"
    idempotency_key: IdempotencyKey | None = None


class DeprovisionConnector(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command", tag="deprovision-connector"
):
    """Stop a connector from serving its resource type."""

    connector: ConnectorId
    idempotency_key: IdempotencyKey | None = None


class ManagedResource(Struct, frozen=True, kw_only=True):
    """A connector that serves its resource type through an IdP, and the event that made it so."""

    resource_type: ResourceType
    connector: ConnectorId
    connector_version: str
    title: str
    auth_mode: Literal["idp_passthrough"]
    idp: IdpId
    upstream_scopes: Annotated[Scopes, Meta(description="What logins ask for on its behalf.")]
    alternatives: Alternatives = ()
    provisioned_at: Annotated[datetime, Meta(tz=True)]
    event_id: EventId
    seq: Annotated[int, Meta(description="The event's place in the log.")]


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong and what to do about it (RFC 9457)."""

    type: Annotated[str, Meta(description="Names the kind of problem.", examples=["urn:scopefold:problem:unknown-idp"])]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str = ""
    instance: str = ""
    errors: tuple[str, ...] = ()


class ConnectorAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to a connector command: the resource as it now is (or last was), or the problem."""

    changed: Annotated[bool, Meta(description="Whether the command appended an event.")] = False
    resource: ManagedResource | None = None
    problem: Problem | None = None


def command_subject(tenant: str, command: type[Struct]) -> str:
    """Where a command is sent: `command.{tenant}.{name}`."""
    return f"{COMMAND}.{tenant}.{command.__struct_config__.tag}"


def command_filter(tenant: str) -> str:
    """Matches every command of a tenant."""
    return f"{COMMAND}.{tenant}.*"
