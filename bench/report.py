"""How a measurement is told: a line for people, or with --json one object a line."""

import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any


def tell(bench: str, metric: str, value: float, unit: str, **more: Any) -> None:
    """One figure."""
    rounded = round(value, 4 if value < 1 else 2)
    if "--json" in sys.argv:
        print(json.dumps({"bench": bench, "metric": metric, "value": rounded, "unit": unit, **more}), flush=True)
    else:
        aside = "  ".join(f"{name}={part}" for name, part in more.items())
        print(f"{bench:8} {metric:28} {rounded:>14,} {unit:10} {aside}", flush=True)


async def median_ms(times: int, act: Callable[[int], Awaitable[Any]]) -> float:
    """The median of some runs, in milliseconds. `act` is given the number of the run."""
    taken = []
    for number in range(times):
        start = time.perf_counter()
        await act(number)
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)
