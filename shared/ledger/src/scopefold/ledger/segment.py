"""A sealed segment: a dense range of one tenant's log in Parquet files, and the seal that says whose and which it is.

The seal is a small file of JSON that is written last, so a segment without a seal is none. It names each file with its
SHA-256, goes on from the running hash where the segment before it ended, and names that segment's own seal by hash: a
chain of seals shows every gap, overlap and change. Pure: reads and writes nothing.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from scopefold.contracts.columns import SCHEMA_VERSION, known_types
from scopefold.ledger.follow import GENESIS

MAX_ROWS: Final = 1_000_000
SUFFIX: Final = ".seal.json"
PARTS: Final = ("facts", "ids", "users")
"""What folds read; what only names and explains; the ids of the users that the segment meets first."""
_NAME: Final = re.compile(r"[0-9]{12}-[0-9]{12}\.seal\.json")


class SegmentFault(RuntimeError):
    """The segments are not what they should be; the message names the file and the sequence."""


class Part(Struct, frozen=True):
    """One Parquet file of a segment."""

    name: str
    bytes: int
    sha256: str


class Seal(Struct, frozen=True, kw_only=True):
    """What a segment says of itself.

    `created` is when its log was created: another time is another log. `hash_before` and `hash_after` are the running
    hash of `ledger.follow.chain`. Users are numbered along the chain, from 0: this segment brings `users` new ones,
    after the `users_before` that others brought. `types` are the values of the column `type` that occur in it.
    """

    schema_version: int
    tenant: str
    created: datetime
    first_seq: int
    last_seq: int
    first_at: datetime
    last_at: datetime
    rows: int
    hash_before: str
    hash_after: str
    users_before: int
    users: int
    types: tuple[str, ...]
    previous: str
    """SHA-256 of the seal before this one; empty for the first."""
    facts: Part
    ids: Part
    new_users: Part

    @property
    def name(self) -> str:
        """The seal's file name. Names in their order are the ranges in theirs."""
        return stem(self.first_seq, self.last_seq) + SUFFIX

    @property
    def parts(self) -> tuple[Part, Part, Part]:
        """Its files."""
        return (self.facts, self.ids, self.new_users)

    @property
    def content(self) -> bytes:
        """The seal's file. The same seal gives the same bytes."""
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic"), indent=2) + b"\n"


def stem(first: int, last: int) -> str:
    """How the names of a segment's files begin."""
    return f"{first:012}-{last:012}"


def is_seal(name: str) -> bool:
    """Is it the name of a seal?"""
    return _NAME.fullmatch(name) is not None


def sha256(content: bytes) -> str:
    """As a seal names a file's content."""
    return hashlib.sha256(content).hexdigest()


class _Version(Struct, frozen=True):
    """What every seal has, however new."""

    schema_version: int
    first_seq: int


def read_seal(name: str, content: bytes) -> Seal:
    """The seal in a file. Raises `SegmentFault`, also for one of a newer version, whose meaning is not guessed."""
    try:
        version = msgspec.json.decode(content, type=_Version)
        if version.schema_version > SCHEMA_VERSION:
            newer = f"schema version {version.schema_version}; this version of scopefold reads up to {SCHEMA_VERSION}"
            raise SegmentFault(f"{name}: the segment from sequence {version.first_seq} has {newer}")
        seal = msgspec.json.decode(content, type=Seal)
    except msgspec.MsgspecError as error:
        raise SegmentFault(f"{name}: this is no seal: {error}") from None
    if unknown := sorted(set(seal.types) - known_types()):
        what = f"the type {unknown[0]}, which this version of scopefold does not know"
        raise SegmentFault(f"{name}: the segment from sequence {seal.first_seq} has {what}")
    expected = tuple(f"{stem(seal.first_seq, seal.last_seq)}.{part}.parquet" for part in PARTS)
    if name != seal.name or expected != tuple(part.name for part in seal.parts):
        raise SegmentFault(f"{name}: the seal within is of {seal.name}, from sequence {seal.first_seq}")
    if seal.rows != seal.last_seq - seal.first_seq + 1 or not 0 < seal.rows <= MAX_ROWS:
        raise SegmentFault(f"{name}: {seal.rows} rows cannot be sequences {seal.first_seq} to {seal.last_seq}")
    return seal


def check_chain(seals: Sequence[Seal], *, tenant: str | None = None, created: datetime | None = None) -> None:
    """Raises `SegmentFault` with the first fault of `faults`."""
    for fault in faults(seals, tenant=tenant, created=created):
        raise SegmentFault(fault)


def faults(seals: Sequence[Seal], *, tenant: str | None = None, created: datetime | None = None) -> Iterable[str]:
    """What is wrong with a chain, in the order of the ranges: each fault names the file and the sequence.

    With `tenant` and `created` it must be of that tenant and of the log that was created then.
    """
    before: Seal | None = None
    for seal in sorted(seals, key=lambda one: (one.first_seq, one.last_seq)):
        tenant, created = tenant or seal.tenant, created or seal.created
        if seal.tenant != tenant:
            yield f"{seal.name}: sequence {seal.first_seq} is of another tenant: {seal.tenant} instead of {tenant}"
        if seal.created != created:
            logs = f"that of {_told(seal.created)} instead of that of {_told(created)}"
            yield f"{seal.name}: sequence {seal.first_seq} is of another log: {logs}"
        yield from _joint(before, seal)
        before = seal


def _joint(before: Seal | None, seal: Seal) -> Iterable[str]:
    expected = before.last_seq + 1 if before else 1
    if seal.first_seq > expected:
        yield f"{seal.name}: a gap: sequences {expected} to {seal.first_seq - 1} are missing before it"
    elif seal.first_seq < expected:
        yield f"{seal.name}: an overlap: sequence {seal.first_seq} is in the segment before it too"
    elif seal.hash_before != (before.hash_after if before else GENESIS):
        yield f"{seal.name}: the running hash before sequence {seal.first_seq} is not that of the segment before it"
    elif seal.previous != (sha256(before.content) if before else ""):
        yield f"{seal.name}: at sequence {seal.first_seq} it goes on from another seal than the one before it"
    elif seal.users_before != (before.users_before + before.users if before else 0):
        yield f"{seal.name}: from sequence {seal.first_seq} on it numbers users otherwise than the segment before it"


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
