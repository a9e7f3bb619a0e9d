"""Watches from outside when a process that was killed serves again."""

import threading
import time
from collections.abc import Callable
from typing import Final

import httpx

LOOK_SECONDS: Final = 0.03
PROBE_SECONDS: Final = 1.0


class Watched:
    """One process: whether it has served since its last kill, and how long it took at worst."""

    def __init__(self, name: str, serves: Callable[[], bool]) -> None:
        self.name = name
        self.worst_seconds = 0.0
        self._serves = serves
        self._up = threading.Event()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._fell_at: float | None = None
        self._falls = 0
        self._thread = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)
        self._thread.start()

    @property
    def up(self) -> bool:
        """Has it served since its last kill?"""
        return self._up.is_set()

    def falls(self) -> None:
        """It is killed now."""
        with self._lock:
            self._falls += 1
            self._fell_at = time.monotonic()
            self._up.clear()

    def look_again(self) -> None:
        """Whether it serves is to be seen anew."""
        with self._lock:
            self._falls += 1
            self._up.clear()

    def wait(self, seconds: float) -> bool:
        """Wait until it serves; False if it does not within this time."""
        return self._up.wait(max(0.0, seconds))

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join(2 * PROBE_SECONDS)

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            falls = self._falls
            if self._up.is_set() or not self._serves():
                continue
            with self._lock:
                if falls != self._falls:
                    continue  # that was the process before this kill
                if self._fell_at is not None:
                    self.worst_seconds = max(self.worst_seconds, time.monotonic() - self._fell_at)
                    self._fell_at = None
                self._up.set()


def answers(address: str) -> Callable[[], bool]:
    """Does this address answer 200?"""

    def ask() -> bool:
        try:
            return httpx.get(address, timeout=PROBE_SECONDS).status_code == 200
        except httpx.HTTPError:
            return False

    return ask
