"""How many clients may register themselves where everybody may."""

import time
from typing import Final

OPEN_PER_ADDRESS: Final = 20
OPEN_AT_ALL: Final = 500
WINDOW_SECONDS: Final = 3600.0


class Window:
    """How many clients registered themselves in this hour, at this replica: of one address, and at all."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._counts: dict[str, int] = {}

    def wait_seconds(self, address: str) -> int:
        """Count one more registration; or how long to wait before it, where there were too many."""
        if time.monotonic() - self._began > WINDOW_SECONDS:
            self._began, self._counts = time.monotonic(), {}
        count = self._counts.get(address, 0)
        if count >= OPEN_PER_ADDRESS or sum(self._counts.values()) >= OPEN_AT_ALL:
            return max(1, int(WINDOW_SECONDS - (time.monotonic() - self._began)))
        self._counts[address] = count + 1
        return 0
