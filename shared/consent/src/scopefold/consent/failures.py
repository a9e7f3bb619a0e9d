"""How do logins fail at an IdP, how often, and when did each kind happen last?"""

from typing import Final

from msgspec import UNSET, Struct
from msgspec.structs import replace

from scopefold.contracts.events import AuthorizationFailed
from scopefold.contracts.recorded import Cause

MAX_KINDS: Final = 50
OTHER: Final = "other"


class Failures(Struct, frozen=True):
    """Failures of one kind since the log began. `diagnosis` is what they were taken for, where that was said."""

    stage: str
    error: str
    diagnosis: str
    count: int
    last: Cause


def counted(failures: tuple[Failures, ...], event: AuthorizationFailed, cause: Cause) -> tuple[Failures, ...]:
    """The counts after one more, the latest kind last.

    What an IdP or anybody who begins a login may say as an error is without bound: beyond 50 kinds, new ones are
    counted together as `other`.
    """
    diagnosis = event.diagnosis if event.diagnosis is not UNSET else ""
    kind: tuple[str, str, str] = (event.stage, event.error, diagnosis)
    if len(failures) >= MAX_KINDS and all(_kind(one) != kind for one in failures):
        kind = (OTHER, OTHER, "")
    before = next((one for one in failures if _kind(one) == kind), Failures(*kind, 0, cause))
    rest = tuple(one for one in failures if _kind(one) != kind)
    return (*rest, replace(before, count=before.count + 1, last=cause))


def _kind(failures: Failures) -> tuple[str, str, str]:
    return failures.stage, failures.error, failures.diagnosis
