"""Nonces that a server gives to clients which prove a key (RFC 9449, section 8): told from the time, so any replica
knows those of all others, and nothing is stored.
"""

import hmac
from datetime import datetime
from typing import Final

from scopefold.auth.core.seal import keyed_hash

STEP_SECONDS: Final = 60
STEPS: Final = 5
"""A nonce is good for five minutes at least, and six at most."""


def new_nonce(key: bytes, now: datetime) -> str:
    """The nonce of this minute."""
    return _nonce(key, int(now.timestamp()) // STEP_SECONDS)


def is_fresh(key: bytes, nonce: str, now: datetime) -> bool:
    """Did a server that holds this key give the nonce, not long ago?"""
    present = int(now.timestamp()) // STEP_SECONDS
    given = [_nonce(key, present - back).encode() for back in range(-1, STEPS + 1)]  # -1: clocks of replicas differ
    return any(hmac.compare_digest(nonce.encode(), one) for one in given)


def _nonce(key: bytes, step: int) -> str:
    return keyed_hash(key, f"dpop nonce {step}")
