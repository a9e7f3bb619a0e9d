"""Which key-value buckets there are: what each is for, how long it keeps what, and how much."""

from typing import Final

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType

from scopefold.auth.store.erasable import erasable

VAULT: Final = "vault"
SESSIONS: Final = "sessions"
CLIENTS: Final = "clients"
DYNAMIC: Final = "dynamic_clients"
CONSENTS: Final = "consents"
FLOWS: Final = "flows"
GRANTS: Final = "grants"
WEBHOOK: Final = "webhook"
SESSION_SECONDS: Final = 12 * 3600
FLOW_SECONDS: Final = 600
PROOFS: Final = "proofs"
PROOF_SECONDS: Final = 180
"""Longer than a proof of a key is good for: a minute before its time and a minute after."""
DYNAMIC_SECONDS: Final = 90 * 24 * 3600
CONSENT_SECONDS: Final = 180 * 24 * 3600
GRANT_SECONDS: Final = 366 * 86400
"""Longer than any grant may last: what says that a user's grants have ended outlives all of them."""

_GIB: Final = 1024**3

_BUCKETS: Final = (
    KeyValueConfig(
        bucket=VAULT, description="Sealed upstream tokens, identities and keys.", history=1, max_bytes=32 * _GIB
    ),
    KeyValueConfig(bucket=CLIENTS, description="Registered OAuth clients.", history=1, max_bytes=_GIB // 8),
    KeyValueConfig(
        bucket=DYNAMIC,
        description="Clients that registered themselves, for as long as they are in use, and leave to do so.",
        history=1,
        ttl=DYNAMIC_SECONDS,
        max_bytes=_GIB // 16,
        limit_marker_ttl=60,
    ),
    KeyValueConfig(
        bucket=CONSENTS,
        description="What users allowed clients that nobody here vouches for.",
        history=1,
        ttl=CONSENT_SECONDS,
        max_bytes=_GIB // 4,
    ),
    KeyValueConfig(bucket=WEBHOOK, description="What the webhook is to be told.", history=1, max_bytes=_GIB // 4),
    KeyValueConfig(
        bucket=SESSIONS, description="Browser sessions.", history=1, ttl=SESSION_SECONDS, max_bytes=4 * _GIB
    ),
    KeyValueConfig(
        bucket=FLOWS,
        description="Logins under way and authorization codes: losing them costs a user one repeated login.",
        history=1,
        ttl=FLOW_SECONDS,
        max_bytes=_GIB // 8,
        storage=StorageType.MEMORY,
    ),
    KeyValueConfig(
        bucket=PROOFS,
        description="Proofs of a key that were seen, so that none is taken twice.",
        history=1,
        ttl=PROOF_SECONDS,
        max_bytes=_GIB // 8,
        storage=StorageType.MEMORY,
    ),
    KeyValueConfig(
        bucket=GRANTS,
        description="What apps were granted: refresh token families, spent codes, what was revoked.",
        history=1,
        ttl=GRANT_SECONDS,
        max_bytes=8 * _GIB,
    ),
)

NAMES: Final = tuple(config.bucket for config in _BUCKETS)
ON_FILE: Final = tuple(config.bucket for config in _BUCKETS if config.storage is not StorageType.MEMORY)
IN_MEMORY: Final = tuple(config.bucket for config in _BUCKETS if config.storage is StorageType.MEMORY)
"""The buckets that auth itself makes again where a bus has lost them."""


async def declare(js: JetStreamContext, *, replicas: int = 1, only: StorageType | None = None) -> None:
    """Create the buckets that are missing, of one kind of storage or of both. Existing ones stay as they are."""
    for config in [one for one in _BUCKETS if only in (None, one.storage or StorageType.FILE)]:
        try:
            await js.key_value(config.bucket)
        except nats.js.errors.NotFoundError:
            if config.bucket == VAULT:
                await js.add_stream(erasable(config, replicas))
            else:
                await js.create_key_value(config.evolve(replicas=replicas))
