"""Faults by switch: what goes wrong between a provider and its callers, and for how many calls."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

Place = Literal["pages", "token", "api"]
Trouble = Literal["hang", "server_error"]
MOST_LATENCY_MS: Final = 30_000
MOST_RETRY_AFTER_SECONDS: Final = 86_400
HANG_SECONDS: Final = 30.0
"""How long a call that gets no answer is held before its connection is cut; a caller that gives up ends it at once."""

Calls = Annotated[int, Meta(ge=0, le=1_000_000)]


class Faults(Struct, frozen=True, forbid_unknown_fields=True):
    """What goes wrong. Counts are calls still to go wrong; each such call takes one off."""

    at: Annotated[
        Literal["everywhere", "pages", "token", "api"],
        Meta(title="Where", description="Which addresses are struck by latency, failures and silence."),
    ] = "everywhere"
    latency_ms: Annotated[
        int,
        Meta(ge=0, le=MOST_LATENCY_MS, title="Latency, milliseconds", description="Every call waits this long first."),
    ] = 0
    server_errors: Annotated[
        Calls, Meta(title="Failures", description="So many next calls are answered with the status below.")
    ] = 0
    server_error_status: Annotated[
        Literal[429, 500, 502, 503, 504], Meta(title="Failure's status", description="What a failing call is answered.")
    ] = 503
    retry_after_seconds: Annotated[
        int,
        Meta(
            ge=0,
            le=MOST_RETRY_AFTER_SECONDS,
            title="Retry-After, seconds",
            description="What a failing call is told of when to come back; 0: nothing.",
        ),
    ] = 0
    hangs: Annotated[
        Calls,
        Meta(title="Silences", description="So many next calls get no answer: their connection is cut in 30 seconds."),
    ] = 0
    dropped_refreshes: Annotated[
        Calls,
        Meta(
            title="Dropped refreshes",
            description="So many next refreshes succeed, rotate their token, and break off before the answer is out.",
        ),
    ] = 0


_COUNTS: Final[Mapping[Trouble, str]] = {"hang": "hangs", "server_error": "server_errors"}


def strike(faults: Faults, place: Place) -> tuple[Faults, Trouble | None]:
    """What befalls a call at this place besides latency, and the faults that remain after it."""
    if faults.at in ("everywhere", place):
        for trouble, count in _COUNTS.items():
            if left := getattr(faults, count):
                return replace(faults, **{count: left - 1}), trouble
    return faults, None


def latency_seconds(faults: Faults, place: Place) -> float:
    """How long a call at this place waits before anything else."""
    return faults.latency_ms / 1000 if faults.at in ("everywhere", place) else 0.0


def drop(faults: Faults) -> tuple[Faults, bool]:
    """Whether the answer to a refresh that succeeded is lost, and the faults that remain after it."""
    left = faults.dropped_refreshes
    return (replace(faults, dropped_refreshes=left - 1), True) if left else (faults, False)
