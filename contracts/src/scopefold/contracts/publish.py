"""Publish an event from a service of one's own: once, acknowledged, and with an error that says what to do.

The connection is the caller's. What is needed of it is what nats-py's client has; nothing of it is imported here.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from scopefold.contracts.cloudevents import headers_of
from scopefold.contracts.codec import encode
from scopefold.contracts.events import Event, TokenInsufficient, tag_of
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES, PUBLISHERS
from scopefold.contracts.subjects import subject_of

TRIES: Final = 3
ANSWER_SECONDS: Final = 5.0


class Reply(Protocol):
    """A message that came back."""

    data: bytes


class Connection(Protocol):
    """What publishing needs of a NATS client."""

    @property
    def last_error(self) -> Exception | None:
        """What the server complained of last."""

    async def request(
        self, subject: str, payload: bytes = ..., timeout: float = ..., *, headers: dict[str, Any] | None = ...
    ) -> Reply:
        """Send, and wait for one answer."""


class NotPublished(Exception):
    """The event is not known to be in the log, or the request was not answered. Each kind says whether it is worth
    trying again.
    """


class NotAllowed(NotPublished):
    """This service may not publish this event here. Trying again is of no use: the operator of the bus decides it."""


class BusUnavailable(NotPublished):
    """No answer came. An event may be in the log all the same: try again with the same `event_id`."""

    def __init__(self, why: str, event_id: str = "") -> None:
        super().__init__(why)
        self.event_id = event_id


class Refused(NotPublished):
    """The log refused the event, as when it has no room left; `code` is JetStream's error code, 0 for none."""

    def __init__(self, why: str, code: int = 0) -> None:
        super().__init__(why)
        self.code = code


class Published(Struct, frozen=True):
    """The event is in the log, on disk. `duplicate`: it was there already, under the same id."""

    event_id: str
    seq: int
    duplicate: bool


class _Fault(Struct):
    err_code: int = 0
    description: str = ""


class _Answer(Struct):
    """JetStream's answer to a message that was published to a stream (ADR-1 of nats-architecture-and-design)."""

    seq: int = 0
    duplicate: bool = False
    error: _Fault | None = None


async def publish(
    nc: Connection,
    event: Event,
    *,
    service: str,
    now: datetime,
    tenant: str = "default",
    event_id: str | None = None,
    timeout_seconds: float = ANSWER_SECONDS,
) -> Published:
    """Publish an event as this service, and return once the log has it on disk.

    Without an `event_id`, a TokenInsufficient gets one that follows from what it says and the minute of `now`, so that
    a gateway may report every call that fails and the log holds one report a minute. Within a day, the same id is
    stored once. Waits at most three times `timeout_seconds`.

    Raises `NotAllowed`, `BusUnavailable`, `Refused`; `ValueError` where another event comes without an id.
    """
    allowed = PUBLISHERS[type(event)]
    if allowed is not None and allowed != service:
        raise NotAllowed(f"only {allowed} may publish {tag_of(type(event))}; this is {service}")
    payload = encode(event)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Refused(f"the event is {len(payload)} bytes long; the log takes {MAX_PAYLOAD_BYTES}")
    chosen = event_id or event_id_of(event, tenant, now)
    subject = subject_of(event, tenant)
    headers = headers_of(event, event_id=chosen, publisher=service, occurred_at=now)
    return await _confirmed(nc, subject, payload, headers, event_id=chosen, seconds=timeout_seconds)


def event_id_of(event: Event, tenant: str, now: datetime) -> str:
    """One id for each user, IdP and set of missing scopes, and each minute. Raises `ValueError` for other events."""
    if not isinstance(event, TokenInsufficient):
        raise ValueError(f"{tag_of(type(event))} needs an event_id of your own: the same one each time it is sent")
    said = [tenant, event.user, event.idp, sorted(set(event.missing)), int(now.timestamp()) // 60]
    return f"insufficient-{hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:40]}"


async def _confirmed(
    nc: Connection, subject: str, payload: bytes, headers: Mapping[str, str], *, event_id: str, seconds: float
) -> Published:
    complaint = nc.last_error
    why = ""
    for _ in range(TRIES):
        try:
            reply = await nc.request(subject, payload, seconds, headers=dict(headers))
        except Exception as error:  # each client has its own; whichever it is, no answer came
            why = str(error) or type(error).__name__
            if nc.last_error is not complaint and denies(nc.last_error, subject):
                raise NotAllowed(f"the bus does not let this service publish to {subject}") from None
            continue
        return _understood(reply.data, event_id)
    raise BusUnavailable(f"the bus did not confirm the event: {why}", event_id)


def denies(error: Exception | None, subject: str) -> bool:
    """Is this the server's word that the subject is not allowed? It comes beside the request, which only times out."""
    text = str(error).lower()
    return "permissions violation for publish" in text and f'"{subject.lower()}"' in text


def _understood(data: bytes, event_id: str) -> Published:
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except msgspec.MsgspecError:
        raise Refused("what answered is no log") from None
    if answer.error is not None:
        raise Refused(f"the log refused the event: {answer.error.description}", answer.error.err_code)
    if answer.seq == 0:
        raise Refused("what answered is no log")
    return Published(event_id, answer.seq, answer.duplicate)
