"""How long what one replica has taken keeps the others away."""

from datetime import datetime, timedelta
from typing import Final

SKEW: Final = timedelta(seconds=60)
"""How far the clocks of two replicas may be apart without one taking what the other is at."""


def is_over(until: datetime, lease: timedelta, now: datetime, watched: timedelta) -> bool:
    """May somebody else take what was taken until then, by the clock of who took it, for as long as `lease`?

    Not before its time has passed by any clock that can be trusted. `watched` is for how long it was seen to stand
    unchanged, which no wrong clock changes: what one wrote that is ahead must not be taken from who is at it, nor keep
    everybody away once that one is dead.
    """
    return now >= until + SKEW or watched >= lease


def holds(until: datetime, now: datetime, longest: timedelta) -> bool:
    """Does what runs until then hold still?

    Nobody takes it for more than `longest`. What would run for twice that was written by a clock that was wrong, and
    would keep everybody away until that clock is right.
    """
    return now < until <= now + 2 * longest
