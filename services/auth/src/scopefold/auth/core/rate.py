"""How often something may happen: the generic cell rate algorithm (ITU-T I.371), which keeps one number a key."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from msgspec import Struct

Network = IPv4Network | IPv6Network
IPV6_SITE: Final = 64
"""One subscriber has all addresses of such a network."""


class Rate(Struct, frozen=True):
    """So many in a minute, all of them at once if they like."""

    per_minute: int

    @property
    def interval_seconds(self) -> float:
        """After so long, one more may happen."""
        return 60.0 / self.per_minute


def wait_seconds(rate: Rate, full_at: float, now: float) -> float:
    """How long until one more may happen; 0: at once. `full_at` is when everything may happen again."""
    return max(0.0, full_at + rate.interval_seconds - 60.0 - now)


def counted(rate: Rate, full_at: float, now: float) -> float:
    """When everything may happen again, after one more has happened now."""
    return max(full_at, now) + rate.interval_seconds


@lru_cache(maxsize=4096)
def client_address(peer: str, forwarded: tuple[str, ...], trusted: tuple[Network, ...]) -> str:
    """Who a request is from: the last address that no trusted proxy has.

    `forwarded` is X-Forwarded-For, in its order. Anybody can send one, so only what a trusted proxy added counts.
    """
    address = _parsed(peer)
    for hop in reversed(forwarded):
        if address is None or not any(address in network for network in trusted):
            break
        if (before := _parsed(hop)) is None:
            break
        address = before
    if address is None:
        return "unknown"
    return str(ip_network((address, IPV6_SITE), strict=False) if address.version == 6 else address)


def read_networks(text: str) -> tuple[Network, ...]:
    """Networks, parted by commas. Raises `ValueError`."""
    return tuple(ip_network(one.strip()) for one in text.split(",") if one.strip())


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
