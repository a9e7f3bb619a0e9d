"""What it costs to ask whether a grant of 50 scopes covers what 20 connectors need, once canonical sets are kept.

    just bench scopes [--json]

One figure is one look at all 20 connectors: the lowest of some medians, for what else the machine does is not ours. The
grant and the requirements are the same objects each time, as they are where a grant set is judged. `cold_us` is the
same with nothing kept.
"""

import statistics
import sys
import time
from collections.abc import Callable

from bench.report import tell
from scopefold.scopes import canonical, coverage
from scopefold.scopes.coverage import Covered, Grant, Missing, covers
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import profile_named

BATCHES = 5
ROUNDS = 500
COLD_ROUNDS = 10
LIMIT_US = 20.0
PROVIDERS = {"atlassian": "granular", "microsoft": "named", "github": "oauth", "google": "workspace"}


def grant_of(profile: Profile, family: str) -> Grant:
    """50 scopes; where a family names fewer, others of the same form make up the number."""
    named = profile.families[family].scopes[:50]
    return Grant(
        (*named, *(f"{named[0]}-{number}" for number in range(50 - len(named)))), ("identity", "refresh_token")
    )


def connectors(grant: Grant) -> list[tuple[str, ...]]:
    """20 connectors of six scopes each; the last needs one that is not granted."""
    scopes = grant.scopes or ()
    needed = [tuple(scopes[(number * 7 + place) % len(scopes)] for place in range(6)) for number in range(20)]
    return [*needed[:-1], (*needed[-1][:-1], f"{scopes[0]}-never-granted")]


def lowest_median_us(times: int, act: Callable[[], object]) -> float:
    """The lowest median of some batches of so many runs each."""
    return min(median_us(times, act) for _ in range(BATCHES))


def median_us(times: int, act: Callable[[], object]) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter_ns()
        act()
        taken.append((time.perf_counter_ns() - start) / 1000)
    return statistics.median(taken)


def forget() -> None:
    """Empty everything that is kept between two questions."""
    for kept in (coverage.held, coverage.clauses_of, coverage.canonical_grant, canonical.tables):
        kept.cache_clear()


def main() -> None:
    slowest = 0.0
    for name, family in PROVIDERS.items():
        profile = profile_named(name)
        grant = grant_of(profile, family)
        needed = connectors(grant)

        def ask() -> list[object]:
            return [covers(profile, grant, required) for required in needed]  # noqa: B023

        def ask_cold() -> list[object]:
            forget()
            return ask()

        answers = ask()
        assert [Covered] * 19 + [Missing] == [type(answer) for answer in answers], answers
        warm = lowest_median_us(ROUNDS, ask)
        slowest = max(slowest, warm)
        tell("scopes", "covers_us", warm, "us", provider=name, scopes=50, connectors=20, limit=LIMIT_US)
        tell("scopes", "cold_us", lowest_median_us(COLD_ROUNDS, ask_cold), "us", provider=name)
    if slowest > LIMIT_US:
        sys.exit(f"covers takes {slowest:.1f} us, more than {LIMIT_US:.0f}")


if __name__ == "__main__":
    main()
