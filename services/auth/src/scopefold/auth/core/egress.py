"""Where this service may be sent by an address that somebody else chose. Against server-side request forgery."""

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_LENGTH: Final = 2000
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC: Final[tuple[Network, ...]] = (
    # What the registries call special (RFC 6890) and what carries an IPv4 address inside; Python's own lists differ
    # from version to version.
    *map(
        ipaddress.IPv4Network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
            "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        ),
    ),
    *map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")),
)  # fmt: skip


class BadTarget(ValueError):
    """This service does not go there; the message says why, and names no address that a name resolved to."""


class Target(Struct, frozen=True):
    """An address that may be asked, once its host is resolved to addresses that may be reached."""

    scheme: str
    host: str
    port: int
    path: str
    """Path and query."""


def networks(text: str) -> tuple[Network, ...]:
    """The networks in a list with commas. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(one.strip()) for one in text.split(",") if one.strip())


def target(address: str, reachable: Sequence[Network]) -> Target:
    """What an address names: https, or http at a literal loopback address that the operator opened.

    Raises `BadTarget`.
    """
    if len(address) > MAX_LENGTH or not address.isascii() or not address.isprintable() or " " in address:
        raise BadTarget("it is no plain address")
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadTarget("it is no address") from None
    if not host or "@" in parts.netloc or "\\" in address or "#" in address:
        raise BadTarget("it must name a host, without user@, backslash and #fragment")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_reachable_loopback(host, reachable)):
        raise BadTarget("it must be https")
    if (literal := _literal(host)) is not None:
        check(literal, reachable)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or (443 if parts.scheme == "https" else 80), path)


def check(address: Address, reachable: Sequence[Network]) -> None:
    """Raises `BadTarget` where an address is neither public nor in a network that the operator opened."""
    if any(address.version == one.version and address in one for one in reachable):
        return
    public = address.version == 4 or address in _GLOBAL_UNICAST
    if not public or any(address.version == one.version and address in one for one in _NOT_PUBLIC):
        raise BadTarget("its host is not on the public internet")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_reachable_loopback(host: str, reachable: Sequence[Network]) -> bool:
    found = _literal(host)
    return found is not None and found.is_loopback and any(found in one for one in reachable)
