"""When does a token die by itself, and by which of the provider's clocks?"""

from collections.abc import Collection
from datetime import datetime
from typing import Literal

from msgspec import Struct


class Deadlines(Struct, frozen=True):
    """When a token dies by itself, as far as the provider's clocks are known."""

    access: datetime | None = None
    idle: datetime | None = None
    """If nobody renews it before."""
    absolute: datetime | None = None


class Dies(Struct, frozen=True):
    """The moment from which only another consent helps, and the clock that says so.

    `idle`: unless somebody uses it before. `absolute`: whatever is done. `access`: nothing came to renew it with.
    """

    at: datetime
    by: Literal["idle", "absolute", "access"]


def dies(deadlines: Deadlines, evidence: Collection[str]) -> Dies | None:
    """The first of a token's clocks to run out; None where the provider names none. `evidence` is the grant's."""
    if "refresh_token" not in evidence:
        return None if deadlines.access is None else Dies(deadlines.access, "access")
    idle, absolute = deadlines.idle, deadlines.absolute
    if idle is not None and (absolute is None or idle <= absolute):
        return Dies(idle, "idle")
    return None if absolute is None else Dies(absolute, "absolute")
