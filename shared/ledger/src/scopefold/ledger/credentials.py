"""Who a client of the bus is: an nkey of its own, and an inbox of its own."""

import re
from pathlib import Path
from typing import Final, Self

import nkeys
from msgspec import Struct

from scopefold.contracts.words import SERVICE_PATTERN

SUFFIX: Final = ".nk"


class BadCredentials(ValueError):
    """The file is missing, cannot be read, or holds no seed of a user; the message says which."""


class Credentials(Struct, frozen=True):
    """A service's name on the bus, and the file that holds the seed of its nkey and nothing else.

    The file is read anew for each connection, so a key that was replaced is used from the next one on.
    """

    name: str
    seed_file: Path

    @classmethod
    def of(cls, path: Path) -> Self:
        """The credentials in a file such as `auth.nk`: a service's name is the file's. Raises `BadCredentials`."""
        if path.suffix != SUFFIX or re.match(SERVICE_PATTERN, path.stem) is None:
            raise BadCredentials(f"{path} must be named after its service, such as auth{SUFFIX}")
        public_key_in(path)
        return cls(path.stem, path)

    @property
    def inbox_prefix(self) -> str:
        """Where answers come to. The bus lets nobody else listen there, and lets this service listen nowhere else."""
        return inbox_of(self.name)


def inbox_of(service: str) -> str:
    """The prefix of a service's inboxes."""
    return f"_INBOX_{service}"


def public_key_in(path: Path) -> str:
    """The public key that belongs to the seed in a file. Raises `BadCredentials`."""
    try:
        seed = bytearray(path.read_bytes().strip())
    except OSError as error:
        raise BadCredentials(f"cannot read {path}: {error.strerror}") from None
    try:
        kind, _ = nkeys.decode_seed(seed)
        key: str = nkeys.from_seed(seed).public_key.decode()
    except (nkeys.NkeysError, ValueError):
        kind, key = None, ""
    if kind != nkeys.PREFIX_BYTE_USER:
        raise BadCredentials(f"{path} holds no seed of a user's nkey")
    return key
