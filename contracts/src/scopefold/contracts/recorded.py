"""An event as it stands in the log, and the one decision what is accepted from there.

The decision is pure and depends on the message alone, so every reader and every replay takes it alike.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from msgspec import Struct

from scopefold.contracts.codec import Undecodable, decode, tag_in
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
    tag_of,
)
from scopefold.contracts.subjects import subject_of
from scopefold.contracts.words import EVENT_ID_PATTERN, SERVICE_PATTERN, TENANT_PATTERN

MAX_PAYLOAD_BYTES: Final = 64 * 1024
SOURCE_PREFIX: Final = "urn:scopefold:service:"
_EVENT_ID: Final = re.compile(EVENT_ID_PATTERN)
_TENANT: Final = re.compile(TENANT_PATTERN)
_SERVICE: Final = re.compile(SERVICE_PATTERN)

PUBLISHERS: Final[Mapping[type[Struct], str | None]] = {
    IdpRegistered: "auth",
    ConnectorProvisioned: "provisioner",
    ConnectorDeprovisioned: "provisioner",
    ScopesWithheld: "auth",
    ScopesRestored: "auth",
    ScopesPruned: "auth",
    IdpRemoved: "auth",
    UserLoggedIn: "auth",
    TokenStored: "auth",
    TokenInsufficient: None,
    ConsentDeclined: "auth",
    AuthorizationFailed: "auth",
    GrantRevoked: "auth",
    TokenCleared: "auth",
    UserErased: "auth",
}
"""Which service may publish which event; None means any."""
_TAGS: Final = {kind: tag_of(kind) for kind in PUBLISHERS}


class Cause(Struct, frozen=True, order=True):
    """Which event made something so: its place in the log, when the log took it, and its id."""

    seq: int
    at: datetime
    event_id: str


class AsOf(Struct, frozen=True):
    """The place in the log that an answer holds for. `at` is the log's time there: null before its first event, and
    where no moment was asked for.
    """

    seq: int
    at: datetime | None = None


class Recorded(Struct, frozen=True):
    """An event, with what the log knows of it. `at` is the log's own time, never the publisher's."""

    seq: int
    at: datetime
    tenant: str
    event_id: str
    publisher: str
    event: Event

    @property
    def cause(self) -> Cause:
        """This event, as the cause of something."""
        return Cause(self.seq, self.at, self.event_id)

    def names(self, user: str) -> bool:
        """Is it about this user? Most events of IdPs are about nobody."""
        return getattr(self.event, "user", None) == user


KINDS: Final = ("undecodable", "headers", "subject", "publisher")
"""What can be wrong with a message: the word before the colon of a reason."""


class Quarantined(Struct, frozen=True):
    """A message that no fold may use, and why. It is kept, counted and shown; it never stops a fold."""

    seq: int
    at: datetime
    subject: str
    reason: str

    @property
    def kind(self) -> str:
        """What is wrong: one of `KINDS`, with which every reason begins."""
        return self.reason.partition(":")[0]


class Message(Struct, frozen=True):
    """One stored message of the log, untouched."""

    seq: int
    at: datetime
    subject: str
    headers: Mapping[str, str]
    payload: bytes


def examine(message: Message) -> Recorded | Quarantined:
    """Decide whether a message is an event of the log."""
    headers = message.headers
    try:
        if len(message.payload) > MAX_PAYLOAD_BYTES:
            raise Undecodable(f"the payload is longer than {MAX_PAYLOAD_BYTES} bytes")
        event = decode(message.payload)
    except Undecodable as error:
        return _quarantine(message, f"undecodable: {error}")
    event_id = headers.get("ce-id", "")
    if _EVENT_ID.match(event_id) is None or event_id != headers.get("Nats-Msg-Id"):
        return _quarantine(message, "headers: ce-id and Nats-Msg-Id must be present, well-formed and equal")
    named = headers.get("ce-type")
    if named != _TAGS[type(event)] and named != tag_in(message.payload):
        return _quarantine(message, "headers: ce-type disagrees with the payload's type")
    tenant = message.subject.split(".", 2)[1] if message.subject.count(".") >= 2 else ""
    if not _is_tenant(tenant):
        return _quarantine(message, "subject: its second token must be a tenant")
    if subject_of(event, tenant) != message.subject:
        return _quarantine(message, f"subject: this event belongs on {subject_of(event, tenant)}")
    source = headers.get("ce-source", "")
    publisher = source.removeprefix(SOURCE_PREFIX)
    if publisher == source or not _is_service(publisher):
        return _quarantine(message, f"publisher: ce-source must be {SOURCE_PREFIX}<service>")
    allowed = PUBLISHERS[type(event)]
    if allowed is not None and publisher != allowed:
        return _quarantine(message, f"publisher: {publisher} may not publish this event, only {allowed} may")
    return Recorded(message.seq, message.at, tenant, event_id, publisher, event)


@lru_cache(maxsize=256)
def _is_tenant(text: str) -> bool:
    return _TENANT.match(text) is not None


@lru_cache(maxsize=256)
def _is_service(text: str) -> bool:
    return _SERVICE.match(text) is not None


def _quarantine(message: Message, reason: str) -> Quarantined:
    return Quarantined(message.seq, message.at, message.subject, reason[:500])
