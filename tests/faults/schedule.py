"""Which process is killed when: a seed decides it before anything has started."""

from collections.abc import Sequence
from random import Random
from typing import Final, Literal

from msgspec import Struct

PROCESSES: Final = ("nats", "auth", "provisioner", "sandbox")
SHORTEST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.4
After = Literal["nothing", "victim", "everything"]
AFTER: Final[Sequence[After]] = ("nothing", "victim", "victim", "everything", "everything")


class Kill(Struct, frozen=True):
    """SIGKILL for a process, after a pause under load.

    `after` is what must serve again before the pause: nothing (so it may be killed at its start), the process itself,
    or every process, since a login needs them all.
    """

    process: str
    pause_seconds: float
    after: After


def schedule(seed: int, processes: Sequence[str], kills: int) -> list[Kill]:
    """So many kills of each process, in an order, at moments and in a manner that the seed alone decides."""
    random = Random(f"schedule-{seed}")
    victims = [process for process in processes for _ in range(kills)]
    random.shuffle(victims)
    return [
        Kill(victim, random.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), random.choice(AFTER))
        for victim in victims
    ]
