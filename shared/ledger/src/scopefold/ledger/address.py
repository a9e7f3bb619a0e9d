"""Where the bus is: the addresses of its servers, as an operator writes them."""

from typing import Final
from urllib.parse import urlsplit

SCHEMES: Final = ("nats", "tls", "ws", "wss")


class BadAddress(ValueError):
    """It is no address of a bus; the message says what is wrong, and never repeats a password."""


def servers_in(told: str) -> list[str]:
    """The servers of one bus, parted by commas, such as `nats://a:4222,nats://b:4222`. Raises `BadAddress`."""
    servers = told.split(",")
    for server in servers:
        _check(server)
    return servers


def shown(server: str) -> str:
    """A server's address without what somebody may have put before its host: a user and a password."""
    scheme, there, rest = server.partition("://")
    return f"{scheme}{there}{rest.rpartition('@')[2]}"


def _check(server: str) -> None:
    try:
        parts = urlsplit(server)
        usable = parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an IPv6 address, or a port that is no number
        usable = False
    if not usable or any(letter.isspace() for letter in server):
        raise BadAddress(f"{shown(server)!r} is not like nats://HOST:4222")
