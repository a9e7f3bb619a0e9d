"""Which process is killed when: a seed decides it before anything has started."""

from collections.abc import Sequence
from random import Random
from typing import Final

from msgspec import Struct

PROCESSES: Final = ("nats", "auth", "provisioner", "sandbox")
SHORTEST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 0.4
EARLY: Final = 0.15


class Kill(Struct, frozen=True):
    """SIGKILL for a process, after a pause under load. An early one does not wait until it has recovered before."""

    process: str
    pause_seconds: float
    early: bool


def schedule(seed: int, processes: Sequence[str], kills: int) -> list[Kill]:
    """So many kills of each process, in an order, at moments and in a manner that the seed alone decides."""
    random = Random(f"schedule-{seed}")
    victims = [process for process in processes for _ in range(kills)]
    random.shuffle(victims)
    return [
        Kill(victim, random.uniform(SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), random.random() < EARLY)
        for victim in victims
    ]
