"""Keep children running: restart what ends, later each time, and give up on what keeps ending."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from scopefold.cli.child import Supervised
from scopefold.cli.failure import refused
from scopefold.cli.nats_server import NatsDidNotStart

LOOK_SECONDS: Final = 0.2
FIRST_DELAY_SECONDS: Final = 0.5
LONGEST_DELAY_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 60.0
MOST_ENDS: Final = 10


def delay_seconds(ends: int) -> float:
    """How long to wait before the restart after so many ends in a row (from 1)."""
    return min(FIRST_DELAY_SECONDS * 2.0 ** (ends - 1), LONGEST_DELAY_SECONDS)


def manner(code: int) -> str:
    """How a process ended, in words."""
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"


def watch(children: Sequence[Supervised], say: Callable[[str], None], restarted: Callable[[], None]) -> NoReturn:
    """Restart every child that ends; `restarted` is called after each restart.

    Ends by the caller's KeyboardInterrupt, or by `Failure` once a child has ended ten times in a row without
    staying up for a minute.
    """
    ends: dict[str, int] = {}
    started: dict[str, float] = {child.name: time.monotonic() for child in children}
    due: dict[str, float] = {}
    while True:
        now = time.monotonic()
        for child in children:
            assert child.process is not None
            if child.name in due:
                if now >= due[child.name]:
                    del due[child.name]
                    # A start that fails leaves an ended process behind, which counts as one more end.
                    with suppress(NatsDidNotStart):
                        child.start()
                    started[child.name] = time.monotonic()
                    restarted()
            elif (code := child.process.poll()) is not None:
                steady = now - started[child.name] >= STEADY_SECONDS
                ends[child.name] = 1 if steady else ends.get(child.name, 0) + 1
                if ends[child.name] > MOST_ENDS:
                    raise refused(
                        f"{child.name} does not stay up", f"It {manner(code)}, {MOST_ENDS + 1} times in a row"
                    )
                wait = delay_seconds(ends[child.name])
                due[child.name] = now + wait
                say(f"{child.name} {manner(code)}; starting it again in {wait:g} s")
        time.sleep(LOOK_SECONDS)
