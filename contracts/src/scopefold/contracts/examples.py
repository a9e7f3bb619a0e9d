"""One example of every event and command: what the documents show and what the tests begin with."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from scopefold.contracts.cloudevents import headers_of
from scopefold.contracts.commands import ConnectorAnswer, DeprovisionConnector, ManagedResource, ProvisionConnector
from scopefold.contracts.events import (
    AuthorizationFailed,
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    ConsentDeclined,
    Event,
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
from scopefold.contracts.exchange import ExchangeAnswer, ExchangeToken
from scopefold.contracts.recorded import PUBLISHERS

EVENT_ID: Final = "018f3c5e-7a34-7cc1-9d0a-0242ac120002"
OCCURRED_AT: Final = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
ANY_PUBLISHER: Final = "jira-gateway"
"""Stands for some other service, where any service may publish an event."""

_JIRA_SCOPES: Final = ("read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")

EVENTS: Final[tuple[Event, ...]] = (
    IdpRegistered(
        idp="atlassian",
        profile="atlassian",
        client_id="acme-scopefold",
        base_scopes=("openid", "email", "profile"),
        authorize_params={"audience": "api.atlassian.com"},
    ),
    ConnectorProvisioned(
        resource_type="urn:connector:identos:jira-user",
        connector="identos.jira-user",
        connector_version="1.2.0",
        title="Jira",
        auth_mode="idp_passthrough",
        idp="atlassian",
        upstream_scopes=_JIRA_SCOPES,
    ),
    ConnectorDeprovisioned(
        resource_type="urn:connector:identos:jira-user", connector="identos.jira-user", idp="atlassian"
    ),
    ScopesWithheld(
        idp="atlassian", scopes=("write:jira-work",), by="operator", suspect="018f3c5e-7a34-7cc1-9d0a-0242ac120002"
    ),
    ScopesRestored(idp="atlassian", scopes=("write:jira-work",)),
    ScopesPruned(idp="atlassian", scopes=("write:jira-work",), by="operator"),
    IdpRemoved(idp="atlassian", by="operator"),
    UserLoggedIn(user="u_7Jt0m1mX2bq4nV9c", idp="atlassian", client="playground"),
    TokenStored(
        user="u_7Jt0m1mX2bq4nV9c",
        idp="atlassian",
        requested=_JIRA_SCOPES,
        granted=("read:me", "read:jira-user", "read:jira-work", "write:jira-work"),
        evidence=("identity", "refresh_token"),
        known_by="echoed",
        cause="step-up",
        generation=2,
        fingerprint="mJ1zX4p0QmT1h0sS",
        predecessor="Qw7rT2yU9iO3pA5d",
        access_expires_at=datetime(2026, 1, 15, 10, 30, tzinfo=UTC),
        idle_expires_at=datetime(2026, 4, 15, 9, 30, tzinfo=UTC),
    ),
    TokenInsufficient(
        user="u_7Jt0m1mX2bq4nV9c",
        idp="atlassian",
        resource_type="urn:connector:identos:jira-user",
        missing=("write:jira-work",),
        generation=2,
    ),
    TokenCleared(user="u_7Jt0m1mX2bq4nV9c", idp="atlassian", generation=2, reason="revoked"),
    ConsentDeclined(
        attempt="a_Zx81mQw0Lr2T",
        idp="atlassian",
        client="playground",
        user="u_7Jt0m1mX2bq4nV9c",
        requested=_JIRA_SCOPES,
    ),
    AuthorizationFailed(
        attempt="a_Zx81mQw0Lr2T",
        idp="atlassian",
        client="playground",
        requested=_JIRA_SCOPES,
        stage="authorize",
        error="invalid_scope",
        diagnosis="atlassian.scope-not-on-app",
    ),
    GrantRevoked(
        user="u_7Jt0m1mX2bq4nV9c",
        idp="atlassian",
        client="playground",
        grant="3q2-7wAAq83vEjRWeJq83g",
        reason="refresh-token-reused",
    ),
    UserErased(user="u_7Jt0m1mX2bq4nV9c", idp="atlassian"),
)

COMMANDS: Final = (
    ProvisionConnector(connector="identos.jira-user", idp="atlassian", idempotency_key="install-jira-2026-01-15"),
    DeprovisionConnector(connector="identos.jira-user", idempotency_key="remove-jira-2026-01-15"),
)

ANSWER: Final = ConnectorAnswer(
    changed=True,
    resource=ManagedResource(
        resource_type="urn:connector:identos:jira-user",
        connector="identos.jira-user",
        connector_version="1.2.0",
        title="Jira",
        auth_mode="idp_passthrough",
        idp="atlassian",
        upstream_scopes=_JIRA_SCOPES,
        provisioned_at=OCCURRED_AT,
        event_id=EVENT_ID,
        seq=7,
    ),
)


def event_example(event_type: type[Struct]) -> Event:
    """The example of an event type. Raises `LookupError` where `EVENTS` has none."""
    for event in EVENTS:
        if type(event) is event_type:
            return event
    raise LookupError(f"{event_type.__name__} has no example; add one to EVENTS")


def example_headers(event: Event) -> Mapping[str, str]:
    """The headers under which an example would be published."""
    publisher = PUBLISHERS[type(event)] or ANY_PUBLISHER
    return headers_of(event, event_id=EVENT_ID, publisher=publisher, occurred_at=OCCURRED_AT)


EXCHANGE_ASKED: Final = ExchangeToken(
    subject_token="eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.not-a-signature",
    resource="urn:connector:identos:jira-user",
    scopes=("read:jira-work",),
)
EXCHANGED: Final = ExchangeAnswer(
    status=200,
    access_token="an-access-token-of-the-provider",
    issued_token_type="urn:ietf:params:oauth:token-type:access_token",
    token_type="Bearer",
    expires_in=3540,
    scope="read:jira-work write:jira-work",
)
