"""How long an IdP wants to be left alone, and whether one more try fits into the rest of a renewal."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MOST_WAIT_SECONDS: Final = 3600.0
"""No IdP keeps a user's token from being renewed for longer than this, whatever it says."""
STATUSES: Final = frozenset({429, 503})
"""Too many requests, and not available: where an answer says when to come back."""
_MOST_DIGITS: Final = 9
_MOST_CHARACTERS: Final = 40


def asked_wait(status: int, told: str, now: datetime) -> float:
    """For how many seconds an answer asks to be left alone, at most an hour; 0 where it does not say so.

    `told` is its Retry-After (RFC 9110, section 10.2.3): seconds, or a date. What is neither says nothing.
    """
    if status not in STATUSES or len(told) > _MOST_CHARACTERS:
        return 0.0
    text = told.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text) if len(text) <= _MOST_DIGITS else MOST_WAIT_SECONDS
    else:
        try:
            at = parsedate_to_datetime(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
        seconds = ((at if at.tzinfo is not None else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), MOST_WAIT_SECONDS)


def next_try(pause_seconds: float, asked_seconds: float, left_seconds: float) -> float | None:
    """After how many seconds the next try of a renewal begins: our own pause, or what the IdP asked for where that is
    longer; None where that is past what is left of the renewal.
    """
    seconds = max(pause_seconds, asked_seconds)
    return seconds if seconds < left_seconds else None
