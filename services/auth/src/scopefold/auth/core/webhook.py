"""What a webhook is told of the worklist, and how it is signed: Standard Webhooks 1.0 (standardwebhooks.com).

A message holds opaque ids, numbers and times, and nothing of a person.
"""

import base64
import binascii
import hmac
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec
from msgspec import Struct

from scopefold.auth.core.login import EVENT_IDS

MOST_USERS: Final = 100
SECRET_PREFIX: Final = "whsec_"
FIRST_DELAY_SECONDS: Final = 1.0
MOST_DELAY_SECONDS: Final = 300.0


class Move(Struct, frozen=True):
    """An event put a user on the worklist of an IdP, or took one off. No user: it did so to as many as are counted."""

    seq: int
    idp: str
    user: str
    entered: int
    left: int
    at: datetime
    event_id: str


class UserMove(Struct, frozen=True, kw_only=True):
    """A user entered or left the worklist of an IdP, by an event of the user's own."""

    user: str
    idp: str
    change: Literal["entered", "left"]
    seq: int
    at: datetime


class IdpMove(Struct, frozen=True, kw_only=True):
    """What an IdP's users need has changed, and so many of them entered or left its worklist. It says who they are."""

    idp: str
    entered: int
    left: int
    seq: int
    at: datetime


class Changed(Struct, frozen=True, kw_only=True):
    """What the events after `after`, up to `through`, did to the worklist."""

    after: int
    through: int
    users: tuple[UserMove, ...] = ()
    idps: tuple[IdpMove, ...] = ()


class Message(Struct, frozen=True, kw_only=True):
    """One request's body. After a `reconsent.resync` read the worklist anew: what moved meanwhile is not known."""

    type: Literal["reconsent.changed", "reconsent.resync"]
    timestamp: datetime
    data: Changed


class BadSecret(ValueError):
    """The secret is none that signs webhooks; the message says what it must be."""


def read_secret(text: str) -> bytes:
    """The key in a secret. Raises `BadSecret`."""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise BadSecret(f"must be {SECRET_PREFIX} and 24 to 64 random bytes in base64")
    return key


def next_part(moves: Sequence[Move]) -> int:
    """Up to which event the first of these moves are told in one message: the whole of each event's."""
    last = moves[0].seq
    for place, move in enumerate(moves):
        if move.seq != last and place >= MOST_USERS:
            break
        last = move.seq
    return last


def message_of(moves: Iterable[Move], *, after: int, through: int, at: datetime) -> Message:
    """The message of these moves; the same ones give the same message. `at` is for one that has none."""
    users, idps = list[UserMove](), list[IdpMove]()
    for move in moves:
        at = move.at
        if move.user:
            change: Literal["entered", "left"] = "entered" if move.entered else "left"
            users.append(UserMove(user=move.user, idp=move.idp, change=change, seq=move.seq, at=at))
        else:
            idps.append(IdpMove(idp=move.idp, entered=move.entered, left=move.left, seq=move.seq, at=at))
    told = Changed(after=after, through=through, users=tuple(users), idps=tuple(idps))
    return Message(type="reconsent.changed" if users or idps else "reconsent.resync", timestamp=at, data=told)


def body_of(message: Message) -> bytes:
    """What is sent."""
    return msgspec.json.encode(message)


def message_id(tenant: str, log: str, message: Message) -> str:
    """Names a message: the same at every replica and every attempt, so that receivers can tell one that comes again.

    `log` names the log that it is about.
    """
    told = f"webhook:{tenant}:{log}:{message.type}:{message.data.after}:{message.data.through}"
    return f"msg_{uuid.uuid5(EVENT_IDS, told)}"


def headers(key: bytes, identifier: str, body: bytes, now: datetime) -> Mapping[str, str]:
    """The headers that sign a message: over its id, the time of this attempt and its body."""
    at = str(int(now.timestamp()))
    signed = hmac.digest(key, f"{identifier}.{at}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": identifier,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def delay_seconds(attempt: int, chance: float) -> float:
    """How long to wait after so many failed attempts: ever longer, and not all at once. `chance` is between 0 and 1."""
    longest = min(MOST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 4.0 ** (attempt - 1))
    return longest * (0.5 + chance / 2)
