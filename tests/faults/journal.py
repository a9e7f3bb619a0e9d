"""What the system under test has promised, kept outside of it: one line each, on disk before the load goes on."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from scopefold.contracts.codec import encode
from scopefold.contracts.commands import ManagedResource
from scopefold.ledger.append import NewEvent


class Stored(Struct, frozen=True, tag="stored"):
    """The log acknowledged an append: each event's id, and the SHA-256 of its payload."""

    events: tuple[tuple[str, str], ...]


class Answered(Struct, frozen=True, tag="answered"):
    """The provisioner granted a command, sent under this idempotency key."""

    key: str
    connector: str
    idp: str
    provision: bool
    resource: ManagedResource


class LoggedIn(Struct, frozen=True, tag="logged-in"):
    """An app was told who a person is. `anew`: through the IdP, and not by a session."""

    person: str
    user: str
    anew: bool


Promise = Stored | Answered | LoggedIn


def sha256(payload: bytes) -> str:
    """The hash by which a payload is known again."""
    return hashlib.sha256(payload).hexdigest()


class Journal:
    """The file. What `keep` returned from survives a crash of this process too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")

    def keep(self, promise: Promise) -> None:
        """Write a promise down, and return once it is on disk."""
        self._file.write(msgspec.json.encode(promise) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more promises."""
        self._file.close()


def promises_in(path: Path) -> list[Promise]:
    """Everything that was promised, in order."""
    decoder: msgspec.json.Decoder[Promise] = msgspec.json.Decoder(Promise)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def stored(events: Sequence[NewEvent]) -> Stored:
    """The promise that these events are in the log."""
    return Stored(tuple((new.event_id, sha256(encode(new.event))) for new in events))
