"""Sealing of what is secret: AES-256-GCM, with associated data that bind a sealed text to its place.

NIST SP 800-38D. A row that is moved to another user, IdP, bucket or version does not open.
"""

import base64
import binascii
import hmac
from hashlib import sha256
from itertools import pairwise
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from msgspec import Struct

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MOST_KEYS: Final = 4
MIN_DISTINCT_BYTES: Final = 20
"""Of 32 random bytes fewer differ once in ten million keys."""
MIN_DISTINCT_STEPS: Final = 12
HOW_TO_MAKE_ONE: Final = "make one with: openssl rand -base64 32"
EXAMPLES: Final = frozenset(
    {
        "ce43f3395c4c07e8448c723936759a5613f1dc518912267543ccac6e945ae75b",  # what tests of this project once used
        "89e1d452e7c4970eaa523181f0ca245f6b36da4170a791b82dbd11e732fc85ea",  # the same, its text read from its end
        "8c105ecc567ada9f820cd87fc9e9b0c0a65b30820cdcb9d0ac1ea24dc2d3f36e",  # what its benchmarks once used
        "b93c72b74bc8487d29827005f80d635918f91bc22b14d7ed05714d58f96702dd",  # NIST SP 800-38A, appendix F.1.5
        "7f70dfd819c3c5826700c209d1633eb5af014210decb7d7ff6d6ebadfa9bad27",  # AES-GCM test vectors, test case 15
    }
)
"""SHA-256 of keys that anybody can read somewhere. What guides and scripts show as a key belongs in here."""


class BadKey(ValueError):
    """The key-encryption key is missing, short or guessable; the message says what it must be."""


class CannotOpen(ValueError):
    """The sealed text was sealed with another key or for another place, or it was altered."""


class UnknownKek(CannotOpen):
    """What is in the vault is sealed with a key-encryption key that this process was not given: the one named `kek`."""

    def __init__(self, kek: str, sealed: str) -> None:
        super().__init__(f"{sealed} sealed with key-encryption key {kek}, which was not given")
        self.kek = kek


class Place(Struct, frozen=True):
    """Where a sealed text belongs. `owner` is a user id, or the name of a service's own secret."""

    tenant: str
    bucket: str
    owner: str
    idp: str
    version: int


class Sealed(Struct, frozen=True, gc=False):
    """A sealed text, and which key opens it."""

    key_id: str
    nonce: bytes
    text: bytes
    version: int


def read_keys(text: str) -> tuple[bytes, ...]:
    """The key-encryption keys, one a line: the first is the current one, the others only open what is older.

    Raises `BadKey`.
    """
    written = text.split()
    if not written:
        raise BadKey(f"there is no key-encryption key; {HOW_TO_MAKE_ONE}")
    if len(written) > MOST_KEYS:
        raise BadKey(f"there are {len(written)} key-encryption keys; {MOST_KEYS} at most are taken")
    keys = tuple(read_key(one) for one in written)
    if len(set(keys)) < len(keys):
        raise BadKey("the same key-encryption key stands there twice")
    return keys


def read_key(encoded: str) -> bytes:
    """A key-encryption key from its base64url text. Raises `BadKey`."""
    try:
        text = encoded.strip().rstrip("=").translate(str.maketrans("+/", "-_"))
        key = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise BadKey(f"the key-encryption key is no base64url text; {HOW_TO_MAKE_ONE}") from None
    if len(key) != KEY_BYTES:
        raise BadKey(f"the key-encryption key has {len(key)} bytes instead of {KEY_BYTES}; {HOW_TO_MAKE_ONE}")
    if sha256(key).hexdigest() in EXAMPLES:
        raise BadKey(f"the key-encryption key is an example that everybody can read; {HOW_TO_MAKE_ONE}")
    if _is_guessable(key):
        raise BadKey(f"the key-encryption key is not random; {HOW_TO_MAKE_ONE}")
    return key


def _is_guessable(key: bytes) -> bool:
    """Does the key look as random ones do less than once in a million times: few bytes, a series, a text?"""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    is_text = all(0x20 <= byte <= 0x7E for byte in key)
    return len(set(key)) < MIN_DISTINCT_BYTES or len(steps) < MIN_DISTINCT_STEPS or is_text


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
