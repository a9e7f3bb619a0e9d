"""A link that takes one user to the consent that is missing at one IdP. It is no login, and holds no secret.

It names the user by the opaque id, the IdP, and until when it is good. A keyed hash binds that to the issuer; the key
is derived for this purpose alone, so that nothing else which this service signs is such a link.
"""

import base64
import binascii
import hmac
from datetime import datetime

import msgspec
from msgspec import Struct

from scopefold.contracts.words import IdpId, UserId


class BadLink(ValueError):
    """This is no link of this issuer."""


class Link(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Whom a link is for, at which IdP, and until when, in seconds since 1970."""

    user: UserId
    idp: IdpId
    until: int

    def expired(self, now: datetime) -> bool:
        """Is it too old?"""
        return now.timestamp() >= self.until


def write(key: bytes, issuer: str, link: Link) -> str:
    """The link's text."""
    content = msgspec.msgpack.encode(link)
    return f"{_text(content)}.{_text(_mac(key, issuer, content))}"


def read(key: bytes, issuer: str, text: str) -> Link:
    """The link in a text. Raises `BadLink`; one that is too old is still read, so that it can be told."""
    try:
        content, mac = [
            base64.urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4)) for part in text.split(".")
        ]
    except (ValueError, binascii.Error):
        raise BadLink("malformed") from None
    if not hmac.compare_digest(mac, _mac(key, issuer, content)):
        raise BadLink("not ours")
    return msgspec.msgpack.decode(content, type=Link)


def _mac(key: bytes, issuer: str, content: bytes) -> bytes:
    return hmac.digest(key, b"%d:%b%b" % (len(issuer.encode()), issuer.encode(), content), "sha256")


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
