"""Redirect addresses: which may be registered, and which of those that a client sends is a registered one."""

import re
from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import urlencode, urlsplit

ApplicationType = Literal["web", "native"]
MAX_LENGTH: Final = 2000
LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")
_LOOPBACK_ADDRESS: Final = re.compile(r"http://(127\.0\.0\.1|\[::1\]|localhost)(?::[0-9]{1,5})?((?:[/?].*)?)")
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PRIVATE_USE: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def is_loopback(address: str) -> bool:
    """Is this http at this machine itself (RFC 8252, section 7.3)?"""
    return _LOOPBACK_ADDRESS.fullmatch(address) is not None


def type_of(addresses: tuple[str, ...]) -> ApplicationType:
    """What a client is that did not say it: native where one of its addresses is on the person's own machine."""
    return "native" if any(is_loopback(one) or not one.startswith("https://") for one in addresses) else "web"


def problem_with(address: str, application: ApplicationType) -> str | None:
    """Why no client of this type may register this redirect address; None where it may.

    https with a host, http on a loopback address (RFC 8252, section 7.3), or for a native app a private-use scheme in
    reverse domain order (section 7.1). No user info, no fragment (RFC 6749, section 3.1.2), nothing that stands for
    several addresses (RFC 9700, section 2.1).
    """
    if not _PLAIN.fullmatch(address) or len(address) > MAX_LENGTH:
        return f"it must be at most {MAX_LENGTH} characters of plain ASCII without spaces"
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  # raises where it is no port
    except ValueError:
        return "it is no address"
    if "#" in address:
        return "leave out the #fragment"
    if "@" in parts.netloc or "\\" in address:
        return "leave out user@ and backslashes"
    if "*" in parts.netloc or "*" in parts.path:
        return "wildcards stand for addresses that nobody checked"
    if parts.scheme in ("https", "http"):
        if not _HOST.fullmatch(parts.netloc):
            return "name a host"
        if parts.scheme == "https" or is_loopback(address):
            return None
        return "use https; http is for loopback addresses only (http://127.0.0.1, http://[::1], http://localhost)"
    if _PRIVATE_USE.fullmatch(parts.scheme):
        return None if application == "native" else "a scheme of an app's own is for application_type native"
    return "use https, or for a native app a scheme in reverse domain order, such as com.example.app:/callback"


def is_registered(address: str, registered: tuple[str, ...], application: ApplicationType) -> bool:
    """Is this one of the registered addresses? Byte for byte (RFC 9700, section 4.1.3), but that a native app listens
    on whatever loopback port is free (RFC 8252, section 7.3).

    The name `localhost` is treated so where the client registered that name: command line clients do. A name and an
    address never stand for each other.
    """
    if address in registered:
        return True
    if application != "native" or (sent := _LOOPBACK_ADDRESS.fullmatch(address)) is None:
        return False
    known = (_LOOPBACK_ADDRESS.fullmatch(one) for one in registered)
    return "#" not in address and any(one is not None and one.groups() == sent.groups() for one in known)


def with_query(address: str, told: Sequence[tuple[str, str]]) -> str:
    """The address with more parameters. What stands in it stays as it was registered (RFC 6749, section 3.1.2): its
    query is not read, so nothing in it is spelled anew.
    """
    before = "" if address.endswith(("?", "&")) else "&" if "?" in address else "?"
    return f"{address}{before}{urlencode(told)}"


def shown_place(address: str) -> str:
    """Where a redirect address leads, for the person who is asked."""
    parts = urlsplit(address)
    if is_loopback(address):
        return "a program on this computer"
    return parts.hostname or f"an app on this device ({parts.scheme})"
