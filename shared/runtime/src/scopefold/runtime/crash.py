"""Places where a process dies on purpose, so that what a crash there leaves behind can be shown.

Nothing happens but where `SCOPEFOLD_CRASH_AT` names the place, which only a fault campaign sets.
"""

import os
import signal
from typing import Final

AT: Final = os.environ.get("SCOPEFOLD_CRASH_AT", "")


def crash_point(name: str) -> None:
    """Die here and now, as by `kill -9`, if this is the place."""
    if name == AT:
        os.kill(os.getpid(), signal.SIGKILL)
