"""Sealing of what is secret: AES-256-GCM, with associated data that bind a sealed text to its place.

NIST SP 800-38D. A row that is moved to another user, IdP, bucket or version does not open.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Struct

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MIN_DISTINCT_BYTES: Final = 16


class BadKey(ValueError):
    """The key-encryption key is missing, short or guessable; the message says what it must be."""


class CannotOpen(ValueError):
    """The sealed text was sealed with another key or for another place, or it was altered."""


class Place(Struct, frozen=True):
    """Where a sealed text belongs. `owner` is a user id, or the name of a service's own secret."""

    tenant: str
    bucket: str
    owner: str
    idp: str
    version: int


class Sealed(Struct, frozen=True):
    """A sealed text, and which key opens it."""

    key_id: str
    nonce: bytes
    text: bytes
    version: int


def read_key(encoded: str) -> bytes:
    """The key-encryption key from its base64url text. Raises `BadKey`."""
    try:
        text = encoded.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("the key-encryption key is no base64url text; make one with: openssl rand -base64 32") from None
    if len(key) != KEY_BYTES:
        raise BadKey(f"the key-encryption key has {len(key)} bytes instead of {KEY_BYTES}")
    if len(set(key)) < MIN_DISTINCT_BYTES:
        raise BadKey("the key-encryption key is not random; make one with: openssl rand -base64 32")
    return key


def key_id(key: bytes) -> str:
    """Names a key without telling anything of it."""
    return sha256(b"scopefold key id" + key).hexdigest()[:16]


def seal(key: bytes, place: Place, text: bytes, nonce: bytes) -> Sealed:
    """The text, sealed for its place. `nonce` must be 12 random bytes, never used before with this key."""
    named = key_id(key)
    sealed = AESGCM(key).encrypt(nonce, text, _associated(named, place))
    return Sealed(named, nonce, sealed, place.version)


def unseal(key: bytes, place: Place, sealed: Sealed) -> bytes:
    """The text that was sealed for this place. Raises `CannotOpen`."""
    if sealed.version != place.version:
        raise CannotOpen(f"sealed as version {sealed.version}, expected as {place.version}")
    try:
        return AESGCM(key).decrypt(sealed.nonce, sealed.text, _associated(sealed.key_id, place))
    except (InvalidTag, ValueError):  # ValueError: a nonce of a length that is none
        raise CannotOpen(f"the row of {place.owner} at {place.idp or 'no IdP'} does not open with this key") from None


def derive(root: bytes, purpose: str) -> bytes:
    """A key for one purpose from a random root key (RFC 5869, section 2.3)."""
    return HKDFExpand(SHA256(), KEY_BYTES, purpose.encode()).derive(root)


def keyed_hash(key: bytes, text: str) -> str:
    """A keyed hash of a text, 128 bits in base64url: it tells two texts apart and nothing else."""
    return base64.urlsafe_b64encode(hmac.digest(key, text.encode(), "sha256")[:16]).decode().rstrip("=")


def _associated(named: str, place: Place) -> bytes:
    parts = (named, place.tenant, place.bucket, place.owner, place.idp, str(place.version))
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
