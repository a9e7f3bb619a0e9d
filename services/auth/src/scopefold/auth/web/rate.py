"""Rate limits, counted by this replica alone, in bounded memory."""

import math
import time
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.rate import Rate, client_address, counted, read_networks, wait_seconds
from scopefold.auth.settings import Settings
from scopefold.auth.web.pages import error_page
from scopefold.runtime.kept import Kept

MOST_KEYS: Final = 20_000
MOST_CHARACTERS: Final = 256
"""Of a client's id, which anybody can make as long as a request: those that exist are shorter."""
MOST_HOPS: Final = 20
MOST_OF_A_HOP: Final = 64
ADDRESS_FACTOR: Final = 10
"""One address may fail so many times more often than one client from there: many apps share an office."""


class TooManyError(Exception):
    """More than is allowed; after so many seconds it may be tried again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many requests.")
        self.retry_after = str(max(1, math.ceil(seconds)))


class Limit:
    """One limit, with a count for each key. The key that was used longest ago is forgotten where there are too many."""

    def __init__(self, per_minute: int, most_keys: int = MOST_KEYS) -> None:
        self._rate = Rate(per_minute)
        self._full_at: Kept[str, float] = Kept(most_keys)
        self.refused = 0

    def check(self, key: str) -> None:
        """Raises `TooManyError` where there was too much already; counts nothing."""
        now = time.monotonic()
        if (wait := wait_seconds(self._rate, self._full_at.get(key) or 0.0, now)) > 0:
            self.refused += 1
            raise TooManyError(wait)

    def count(self, key: str) -> None:
        """One more has happened."""
        self._full_at.keep(key, counted(self._rate, self._full_at.get(key) or 0.0, time.monotonic()))

    def take(self, key: str) -> None:
        """One more is to happen. Raises `TooManyError`, and then counts nothing: who waits gets through."""
        self.check(key)
        self.count(key)

    def __len__(self) -> int:
        return len(self._full_at)


class Limits:
    """All limits of this replica."""

    def __init__(self, settings: Settings) -> None:
        self._trusted = read_networks(settings.trusted_proxies)
        self.logins = Limit(settings.logins_per_minute)
        self._failures = Limit(settings.failures_per_minute)
        self._failures_from = Limit(settings.failures_per_minute * ADDRESS_FACTOR)

    def refused(self) -> dict[str, int]:
        """How many requests were told to wait since this process began, by what there was too much of."""
        return {"logins": self.logins.refused, "failures": self._failures.refused + self._failures_from.refused}

    def address(self, request: Request) -> str:
        """Who a request is from, as far as limits go."""
        forwarded = ",".join(request.headers.getlist("x-forwarded-for")) if self._trusted else ""
        peer = request.client.host if request.client else ""
        hops = forwarded.split(",")[-MOST_HOPS:] if forwarded else []  # what is before them, anybody can have written
        return client_address(peer, tuple(hop.strip()[:MOST_OF_A_HOP] for hop in hops), self._trusted)

    def check_client(self, request: Request, client_id: str) -> None:
        """Before a client's proof is looked at. Raises `TooManyError` where it failed too often from this address, and
        only from there: nobody can lock a client out everywhere.
        """
        address = self.address(request)
        self._failures.check(_key(address, client_id))
        self._failures_from.check(address)

    def client_failed(self, request: Request, client_id: str) -> None:
        """A client did not prove itself."""
        address = self.address(request)
        self._failures.count(_key(address, client_id))
        self._failures_from.count(address)


def _key(address: str, client_id: str) -> str:
    return f"{address} {client_id[:MOST_CHARACTERS]}"


async def too_many(request: Request, error: Exception) -> Response:
    """Answers a `TooManyError` to people."""
    assert isinstance(error, TooManyError)
    text = f"Too many logins were begun from your network. Wait {error.retry_after} seconds, then try again."
    response = error_page(429, "Too many logins at once", text, code="too_many_requests")
    response.headers["retry-after"] = error.retry_after
    return response
