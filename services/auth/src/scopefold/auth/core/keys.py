"""The ring of signing keys: which one signs, which still verify, and how they take turns.

Of every algorithm one key is current and signs. The next one is published before it signs, so that who caches keys
knows it in time; a retiring one verifies what it signed until nothing can live that long. A revoked key verifies
nothing any more: its private part is forgotten at once, its name stays for a while to be read.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

SigningAlgorithm = Literal["RS256", "ES256", "EdDSA"]
State = Literal["next", "current", "retiring", "revoked"]
ALGORITHMS: Final[tuple[SigningAlgorithm, ...]] = ("RS256", "ES256", "EdDSA")
RETIRING: Final = timedelta(hours=13)
"""Longer than a session: an ID token that is signed today may come back as a hint for as long as its session lives."""
MOST_REVOKED: Final = 20
MOST_RETIRING: Final = 30
"""More turns than this in thirteen hours are a mistake, and the document with all keys must stay small."""


class SigningKey(Struct, frozen=True):
    """A key and its place in the ring. `jwk` is its private JWK as JSON; empty once it is revoked."""

    kid: str
    alg: SigningAlgorithm
    jwk: str
    state: State
    created_at: datetime
    since: datetime
    """When it came into its present state."""


class Ring(Struct, frozen=True):
    """All keys, the oldest first."""

    keys: tuple[SigningKey, ...] = ()

    def current(self, alg: str) -> SigningKey:
        """The key that signs. Raises `LookupError` for an algorithm that there is none of."""
        for key in self.keys:
            if key.alg == alg and key.state == "current":
                return key
        raise LookupError(alg)

    def verifying(self) -> tuple[SigningKey, ...]:
        """What the JWKS document holds: all but the revoked."""
        return tuple(key for key in self.keys if key.state != "revoked")


NewKey = Callable[[SigningAlgorithm], tuple[str, str]]
"""Makes a key: its `kid` and its private JWK."""


def begun(ring: Ring, new_key: NewKey, now: datetime) -> Ring:
    """The ring with a current and a next key of every algorithm; the very same where nothing is missing."""
    missing = [
        _made(new_key, alg, state, now)
        for alg in ALGORITHMS
        for state in ("current", "next")
        if not any((key.alg, key.state) == (alg, state) for key in ring.keys)
    ]
    return Ring((*ring.keys, *missing)) if missing else ring


def rotated(ring: Ring, new_key: NewKey, now: datetime, algorithms: Iterable[SigningAlgorithm] = ALGORITHMS) -> Ring:
    """The next key signs, the current one retires, and a new one is announced; of each of these algorithms."""
    turning = tuple(algorithms)
    turned = {"next": "current", "current": "retiring"}
    keys = [
        replace(key, state=turned[key.state], since=now) if key.alg in turning and key.state in turned else key
        for key in ring.keys
    ]
    return cleaned(Ring((*keys, *(_made(new_key, alg, "next", now) for alg in turning))), now)


def is_full(ring: Ring) -> bool:
    """Did the keys take their turns so often that no more may be retired for now?"""
    return sum(key.state == "retiring" for key in ring.keys) >= MOST_RETIRING


def revoked(ring: Ring, kid: str, new_key: NewKey, now: datetime) -> Ring | None:
    """The ring in which this key verifies nothing any more; its successor signs at once. None: there is no such key."""
    found = next((key for key in ring.keys if key.kid == kid), None)
    if found is None:
        return None
    if found.state == "revoked":
        return ring
    if found.state == "current":
        ring = rotated(ring, new_key, now, (found.alg,))
    keys = (replace(key, state="revoked", since=now, jwk="") if key.kid == kid else key for key in ring.keys)
    return begun(cleaned(Ring(tuple(keys)), now), new_key, now)


def cleaned(ring: Ring, now: datetime) -> Ring:
    """Without keys that retired so long ago that nothing they signed can live, and without the oldest revoked ones."""
    kept = [key for key in ring.keys if key.state != "retiring" or now - key.since < RETIRING]
    gone = [key for key in kept if key.state == "revoked"][:-MOST_REVOKED]
    return Ring(tuple(key for key in kept if key not in gone))


def due(ring: Ring, now: datetime, every: timedelta) -> tuple[SigningAlgorithm, ...]:
    """The algorithms whose current key has signed for long enough."""
    return tuple(key.alg for key in ring.keys if key.state == "current" and now - key.since >= every)


def _made(new_key: NewKey, alg: SigningAlgorithm, state: State, now: datetime) -> SigningKey:
    kid, jwk = new_key(alg)
    return SigningKey(kid, alg, jwk, state, now, now)
