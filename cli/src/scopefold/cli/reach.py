"""Where the bus is, and as whom to come there."""

from pathlib import Path
from typing import Final

from msgspec import Struct

OPERATOR: Final = "operator"
ANALYST: Final = "analyst"


class Reach(Struct, frozen=True):
    """Where the bus is, and the file with the seed to show it; None for a bus that asks nobody."""

    url: str
    credentials: Path | None = None
