"""The vault's own keys: a data key for each user and one for the service, each sealed with a key-encryption key.

Which key-encryption keys are in use stands in one row, so that a start costs the same for any number of users. A key
that is being replaced stays readable beside its successor, and a row's `key_id` tells which of both opens it: that is
how replicas whose memory is older than a rotation find out.
"""

import os
from collections import Counter
from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from scopefold.auth.core.seal import NONCE_BYTES, CannotOpen, Place, Sealed, UnknownKek, key_id, seal, unseal
from scopefold.auth.store.buckets import Bucket, Taken
from scopefold.auth.store.declared import VAULT
from scopefold.auth.store.removal import drop, erase, purge
from scopefold.runtime.kept import Kept

ROOT: Final = "root"
SERVICE: Final = "service"
"""The owner of the service's own rows."""
IN_USE: Final = "keks"
OF_OWNERS: Final = "key.*"
KEPT: Final = 100_000
"""Opened data keys of users who were called for lately: opening one takes a tenth of an answer to a gateway."""
MOST_COUNTED: Final = 20_000
TRIES: Final = 5


class Erased(Taken):
    """The user was erased: nothing can be sealed for them any more."""


class Erasure(Struct, frozen=True):
    """That a user was erased, or is being. It says nothing of who it was, so it stays, and in the open."""

    idps: tuple[str, ...]
    at: datetime
    done: bool = False


class DataKey(Struct, frozen=True, gc=False):
    """The key that an owner's rows are sealed with, and the one before it while there may be rows of that."""

    key: bytes
    previous: bytes | None = None
    since: datetime | None = None
    """When it took the place of another. None: it is the first."""

    def named(self, name: str) -> bytes | None:
        """The one of both that has this name."""
        return next((key for key in (self.key, self.previous) if key is not None and key_id(key) == name), None)


class Keks(Struct, frozen=True):
    """Names of the key-encryption keys: the one that seals, and all that something may still be sealed with."""

    sealing: str
    in_use: tuple[str, ...]


def belongs(name: str) -> tuple[str, str]:
    """Whose a row of the vault is, and of which IdP ("": of none): users' rows are named KIND.USER or KIND.USER.IDP."""
    match name.split("."):
        case ["idp", idp]:
            return SERVICE, idp
        case ["signing", _]:
            return SERVICE, ""
        case [_, owner]:
            return owner, ""
        case [_, owner, idp]:
            return owner, idp
    raise ValueError(f"{name} is no name of a row of the vault")


def erasure_of(user: str) -> str:
    """Where it stands that a user was erased. It is none of the user's rows."""
    return f"erased.user.{user}"


def rows_of(owner: str) -> tuple[str, ...]:
    """Patterns that all rows of an owner match."""
    return ("idp.*", "signing.*") if owner == SERVICE else (f"*.{owner}", f"*.{owner}.>")


class DataKeys:
    """The keys of one vault. `keks` are the key-encryption keys; the first is the one that the operator wants."""

    def __init__(self, bucket: Bucket, tenant: str, keks: Collection[bytes]) -> None:
        self.bucket = bucket
        self._tenant = tenant
        self._keks = {key_id(kek): kek for kek in keks}
        self.wanted = next(iter(self._keks))
        self._known: Kept[str, DataKey] = Kept(KEPT)

    def place(self, owner: str, idp: str) -> Place:
        """Where a row belongs."""
        return Place(self._tenant, VAULT, owner, idp, version=1)

    async def open(self) -> bytes:
        """The vault's root key, which is made where there is none.

        Raises `UnknownKek` where a key-encryption key is missing that something is sealed with.
        """
        try:
            keks, _ = await self.keks()
        except UnknownKek as error:
            await self._check_unused([error.kek])
            raise
        await self._check_unused(self.missing_of(keks))
        return (await self._first(ROOT, ROOT)).key

    async def keks(self) -> tuple[Keks, int]:
        """Which key-encryption keys are in use, and the revision to replace this by. Raises `UnknownKek`."""
        for _ in range(TRIES):
            if (found := await self.bucket.get(IN_USE, Sealed)) is not None:
                sealed, revision = found
                return msgspec.msgpack.decode(self._opened(IN_USE, sealed), type=Keks), revision
            root = await self.bucket.get(ROOT, Sealed)
            first = root[0].key_id if root else self.wanted
            try:
                await self.put_keks(Keks(first, (first,)), 0)
            except Taken:
                continue  # another replica was first
        raise Taken(IN_USE)

    async def put_keks(self, keks: Keks, revision: int) -> None:
        """Say which key-encryption keys are in use. Raises `Taken`, and `UnknownKek` for one that is not here."""
        await self.bucket.update(IN_USE, self._sealed(keks.sealing, IN_USE, keks), revision=revision)

    def missing_of(self, keks: Keks) -> tuple[str, ...]:
        """The key-encryption keys in use that this process was not given."""
        return tuple(name for name in keks.in_use if name not in self._keks)

    async def to_open(self, owner: str, sealed: Sealed) -> bytes:
        """The data key that a row of this owner was sealed with. Raises `CannotOpen`."""
        known = self._known.get(owner)
        key = known.named(sealed.key_id) if known is not None else None
        if key is None:
            key = (await self._read(owner)).named(sealed.key_id)
        if key is None:
            raise CannotOpen(f"a row of {owner} is sealed with data key {sealed.key_id}, which {owner} does not have")
        return key

    async def to_seal(self, owner: str, *, new_row: bool) -> bytes:
        """The data key to seal a row of this owner with.

        A row that replaces one which this process has opened cannot carry a key older than that one did: what is in
        memory will do, and where a rotation sealed the row anew meanwhile, compare and set refuses it. A new row has no
        such guard, so its key is read again.
        """
        known = self._known.get(owner)
        return (await self._read(owner) if new_row or known is None else known).key

    async def _read(self, owner: str) -> DataKey:
        """An owner's data key as it is now, made where there is none; kept in memory for a bounded number of them."""
        found = await self._first(f"key.{owner}", owner)
        self._known.keep(owner, found)
        return found

    async def _first(self, name: str, owner: str) -> DataKey:
        """The key in a row, made where there is none. Raises `Erased`."""
        for _ in range(TRIES):
            if (found := await self.bucket.get(name, Sealed)) is not None:
                return self.opened(owner, found[0])
            keks, _ = await self.keks()
            made = DataKey(os.urandom(32))
            try:
                revision = await self.bucket.create(name, self._sealed(keks.sealing, owner, made))
            except Taken:
                continue
            if await self.bucket.get(erasure_of(owner), Erasure) is not None:  # whoever erases looks for a key after it
                await self.destroy(owner)
                await purge(self.bucket, name)
                raise Erased(owner)
            if (now := (await self.keks())[0].sealing) != keks.sealing:  # a rotation that began may be past this row
                await self.reseal(name, self._sealed(keks.sealing, owner, made), revision, now)
            return made
        raise Taken(name)

    async def destroy(self, owner: str) -> None:
        """Take away an owner's data key: what it sealed is nobody's to read from now on."""
        self._known.forget(owner)
        await erase(self.bucket, f"key.{owner}")
        await drop(self.bucket, f"key.{owner}")  # so that whoever keeps what they read hears of it

    def opened(self, owner: str, sealed: Sealed) -> DataKey:
        """The data key in an owner's row. Raises `CannotOpen`."""
        return msgspec.msgpack.decode(self._opened(owner, sealed), type=DataKey)

    async def replace(self, owner: str, key: DataKey, before: Sealed, revision: int) -> None:
        """Put another data key into an owner's row, under the key-encryption key that it has. Raises `Taken`."""
        await self.bucket.update(f"key.{owner}", self._sealed(before.key_id, owner, key), revision=revision)
        self._known.forget(owner)

    async def reseal(self, name: str, sealed: Sealed, revision: int, to: str) -> bool:
        """Seal a key's row with this key-encryption key; False where it is so already.

        Raises `CannotOpen` where it does not open, `Taken` where it is changed again and again.
        """
        owner = name.removeprefix("key.")
        for _ in range(TRIES):
            if sealed.key_id == to:
                return False
            content = self.opened(owner, sealed)
            try:
                await self.bucket.update(name, self._sealed(to, owner, content), revision=revision)
                return True
            except Taken:
                if (found := await self.bucket.get(name, Sealed)) is None:
                    return False  # its owner is gone
                sealed, revision = found
        raise Taken(name)

    def _sealed(self, kek: str, owner: str, content: Struct) -> Sealed:
        text = msgspec.msgpack.encode(content)
        return seal(self._kek(kek), self.place(owner, ""), text, os.urandom(NONCE_BYTES))

    def _opened(self, owner: str, sealed: Sealed) -> bytes:
        return unseal(self._kek(sealed.key_id), self.place(owner, ""), sealed)

    def _kek(self, name: str) -> bytes:
        if (kek := self._keks.get(name)) is None:
            raise UnknownKek(name, "the vault is")
        return kek

    async def _check_unused(self, missing: Collection[str]) -> None:
        """Raises `UnknownKek` where a key is sealed with one of these, and says how many are."""
        if not missing:
            return
        looked, after, counts = 0, 0, Counter[str]()
        if (root := await self.bucket.get(ROOT, Sealed)) is not None:
            counts[root[0].key_id] += 1
        while looked < MOST_COUNTED and (row := await self.bucket.next(OF_OWNERS, after=after)) is not None:
            looked, after = looked + 1, row.revision
            counts[msgspec.msgpack.decode(row.content, type=Sealed).key_id] += 1
        for name in missing:
            if counts[name] or looked == MOST_COUNTED:
                few = f"at least {counts[name]}" if looked == MOST_COUNTED else str(counts[name])
                raise UnknownKek(name, f"{few} keys in the vault are")
