"""Where an event belongs on the bus, and which shard a user belongs to.

`ledger.{tenant}.idp.{idp}.{event}` for what concerns an IdP and its connectors;
`ledger.{tenant}.user.{shard}.{idp}.{event}` for what concerns a user. A subject per user is avoided on purpose:
the server holds every subject in memory, and a user id in a subject leaks to whoever may list subjects.
"""

import hashlib
from collections.abc import Mapping
from typing import Final, assert_never, get_args

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
    name_of,
)

LEDGER: Final = "ledger"
SHARDS: Final = 256
OF_IDPS: Final[frozenset[type]] = frozenset(
    {
        IdpRegistered,
        ConnectorProvisioned,
        ConnectorDeprovisioned,
        ScopesWithheld,
        ScopesRestored,
        ScopesPruned,
        IdpRemoved,
    }
)
"""Which events concern an IdP; the others concern a user."""
_NAMES: Final[Mapping[type, str]] = {kind: name_of(kind) for kind in get_args(Event)}


def shard_of(key: str) -> int:
    """The shard, 0 to 255, of a user id or a login attempt. Fixed for ever: consumers partition by it."""
    return hashlib.sha256(key.encode()).digest()[0]


def subject_of(event: Event, tenant: str) -> str:
    """The one subject on which this event may stand in the log of this tenant."""
    name = _NAMES[type(event)]
    match event:
        case (
            IdpRegistered()
            | ConnectorProvisioned()
            | ConnectorDeprovisioned()
            | ScopesWithheld()
            | ScopesRestored()
            | ScopesPruned()
            | IdpRemoved()
        ):
            return f"{LEDGER}.{tenant}.idp.{event.idp}.{name}"
        case UserLoggedIn() | TokenStored() | TokenInsufficient() | TokenCleared() | GrantRevoked() | UserErased():
            return f"{LEDGER}.{tenant}.user.{shard_of(event.user)}.{event.idp}.{name}"
        case ConsentDeclined() | AuthorizationFailed():
            shard = shard_of(event.user or event.attempt)
            return f"{LEDGER}.{tenant}.user.{shard}.{event.idp}.{name}"
    assert_never(event)


def event_filter(kind: type[Event], tenant: str) -> str:
    """Matches every subject on which an event of this kind may stand, and no other kind's."""
    place = "idp.*" if kind in OF_IDPS else "user.*.*"
    return f"{LEDGER}.{tenant}.{place}.{_NAMES[kind]}"


def idps_filter(tenant: str) -> str:
    """Matches everything that concerns a tenant's IdPs and connectors.

    It is also what their writers compare and set against: a resource type is routed to one IdP, so two writers
    at two IdPs can conflict.
    """
    return f"{LEDGER}.{tenant}.idp.>"


def user_filter(tenant: str, user: str, idp: str) -> str:
    """Matches everything that concerns a user at one IdP, and others of the same shard with it."""
    return f"{LEDGER}.{tenant}.user.{shard_of(user)}.{idp}.>"


def tenant_filter(tenant: str) -> str:
    """Matches everything in a tenant's log."""
    return f"{LEDGER}.{tenant}.>"
