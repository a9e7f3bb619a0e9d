"""A rotation of the vault's keys, as it goes over all rows, pass by pass, until a pass finds nothing left to do."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

Kind = Literal["kek", "data-keys"]
SETTLE: Final = timedelta(minutes=2)
"""A replaced data key stays readable for so long at least: longer than any write takes that was under way with
it, though the clocks of two replicas are a minute apart."""


class Found(Enum):
    """What a rotation made of one key."""

    DONE_BEFORE = "there was nothing to do"
    REPLACED = "it was sealed anew, or replaced"
    SETTLING = "the one before it must still be readable"
    SETTLED = "the one before it was destroyed"
    UNREADABLE = "it, or a row of its owner, does not open"


class Rotation(Struct, frozen=True):
    """How far a rotation has come."""

    kind: Kind
    began_at: datetime
    began_after: int = 0
    """The bucket's revision at its begin."""
    to: str = ""
    """The key-encryption key that all data keys get."""
    passes: int = 1
    total: int = 0
    """How many keys there were when this pass began."""
    cursor: int = 0
    """The revision up to which this pass has looked."""
    looked: int = 0
    replaced: int = 0
    """In all passes."""
    unreadable: int = 0
    changed: bool = False
    """Did this pass find anything to do?"""
    settling: bool = False
    resume_at: datetime | None = None
    finished_at: datetime | None = None


def looked_at(rotation: Rotation, found: Found, revision: int) -> Rotation:
    """After one key more."""
    return replace(
        rotation,
        cursor=max(rotation.cursor, revision),
        looked=rotation.looked + 1,
        replaced=rotation.replaced + (found is Found.REPLACED),
        unreadable=rotation.unreadable + (found is Found.UNREADABLE),
        changed=rotation.changed or found in (Found.REPLACED, Found.SETTLED),
        settling=rotation.settling or found is Found.SETTLING,
    )


def at_end(rotation: Rotation, now: datetime) -> Rotation:
    """After the last key of a pass: finished where it found nothing to do, else once more from the start."""
    if not rotation.changed and not rotation.settling:
        return replace(rotation, finished_at=now)
    return Rotation(
        rotation.kind,
        rotation.began_at,
        rotation.began_after,
        rotation.to,
        passes=rotation.passes + 1,
        total=rotation.total,
        replaced=rotation.replaced,
        resume_at=now + SETTLE if rotation.settling else None,
    )


def wants_replacing(rotation: Rotation, since: datetime | None, revision: int) -> bool:
    """Is a data key older than this rotation? One that never took another's place was made at its row's revision."""
    return revision <= rotation.began_after if since is None else since < rotation.began_at


def has_settled(since: datetime | None, now: datetime) -> bool:
    """May the data key before the one that is in use since then be destroyed?"""
    return since is None or now - since >= SETTLE
