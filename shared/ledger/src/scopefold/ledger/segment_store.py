"""Where segments live: a directory, a NATS object store, or a bucket behind an S3 address.

A file appears there whole or not at all, and is never changed: that is all that a chain of segments asks of a store.
"""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

import msgspec
import nats.errors
import nats.js.errors
from msgspec import Struct
from nats.js.api import ObjectStoreConfig
from nats.js.object_store import ObjectStore

from scopefold.contracts.recorded import Message
from scopefold.ledger.log import Log
from scopefold.ledger.read import read
from scopefold.ledger.segment import SegmentFault, is_seal

BUCKET: Final = "SEGMENTS"
"""The object store's name on the bus."""
CHUNKS_AT_ONCE: Final = 64
"""A chunk is 128 KiB."""


class _Object(Struct, frozen=True):
    """What an object store says of an object (ADR-20 of NATS): chunks of it lie below its `nuid`."""

    name: str
    nuid: str = ""
    size: int = 0
    deleted: bool = False


class Store(Protocol):
    """Files by name. Raises `OSError` where the place cannot be reached."""

    async def seals(self) -> list[str]:
        """The names of all seals, in their order."""
        ...

    async def get(self, name: str) -> bytes:
        """A file's content. Raises `SegmentFault` where there is none."""
        ...

    async def put(self, name: str, content: bytes) -> None:
        """Write a file: after a crash it is there whole, or not at all."""
        ...


class Folder:
    """A directory. It is made when the first file comes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def seals(self) -> list[str]:
        """See `Store`."""
        if not self._path.is_dir():
            return []
        return sorted(entry.name for entry in self._path.iterdir() if is_seal(entry.name))

    async def get(self, name: str) -> bytes:
        """See `Store`."""
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            raise SegmentFault(f"{name}: there is no such file, though a seal names it") from None

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        self._path.mkdir(parents=True, exist_ok=True)
        new = self._path / f".{name}.new"
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path / name)
        directory = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(directory)  # the name, too, must outlive a crash before anything that builds on it is written
        finally:
            os.close(directory)


class OnBus:
    """An object store of JetStream: what a bucket there holds under a name was put whole.

    It is read as the log is, by batched direct get. The client library reads objects by consumers, which send what they
    have into the account of the streams, where an analyst is not (ADR 0046).
    """

    def __init__(self, log: Log, bucket: str, objects: ObjectStore | None) -> None:
        self._log = log
        self._bucket = bucket
        self._objects = objects

    @classmethod
    async def open(cls, log: Log, bucket: str = BUCKET) -> "OnBus":
        """The store of this name. It is made when the first file comes. Raises `OSError`."""
        try:
            return cls(log, bucket, await log.js.object_store(bucket))
        except nats.js.errors.NotFoundError:
            return cls(log, bucket, None)
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise OSError(
                f"{bucket} does not answer ({error}): does it exist, and may this credential use it?"
            ) from None

    async def seals(self) -> list[str]:
        """See `Store`."""
        found = [info.name for info in await self._told(">") if not info.deleted]
        return sorted(name for name in found if is_seal(name))

    async def get(self, name: str) -> bytes:
        """See `Store`."""
        for info in await self._told(base64.urlsafe_b64encode(name.encode()).decode()):
            if not info.deleted:
                parts = [one.payload async for page in self._read(f"C.{info.nuid}") for one in page]
                if len(content := b"".join(parts)) != info.size:
                    raise SegmentFault(f"{name}: {len(content)} of its {info.size} bytes are there")
                return content
        raise SegmentFault(f"{name}: there is no such file, though a seal names it")

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        if self._objects is None:
            made = ObjectStoreConfig(description="Sealed segments.")
            self._objects = await self._log.js.create_object_store(self._bucket, config=made)
        try:
            await self._objects.put(name, content)
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise OSError(f"{name} was not taken ({error}): may this credential write there?") from None

    async def _told(self, name: str) -> list[_Object]:
        """What the store says of the objects whose encoded names match."""
        return [
            msgspec.json.decode(one.payload, type=_Object) async for page in self._read(f"M.{name}") for one in page
        ]

    async def _read(self, rest: str) -> AsyncIterator[list[Message]]:
        if self._objects is not None:
            subject, stream = f"$O.{self._bucket}.{rest}", f"OBJ_{self._bucket}"
            async for page in read(self._log, subject=subject, stream=stream, batch=CHUNKS_AT_ONCE):
                yield page


class Bucket:
    """A bucket behind an address such as s3://bucket/prefix, with the credentials that the environment holds."""

    def __init__(self, address: str) -> None:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            self._store = from_url(address)
        except (BaseError, ValueError) as error:
            raise OSError(f"{address}: {error}") from None

    async def seals(self) -> list[str]:
        """See `Store`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            paths = [str(one["path"]) async for page in obstore.list(self._store) for one in page]
        except BaseError as error:
            raise OSError(str(error)) from None
        return sorted(path for path in paths if is_seal(path))

    async def get(self, name: str) -> bytes:
        """See `Store`."""
        import obstore
        from obstore.exceptions import BaseError, NotFoundError

        try:
            return bytes(await (await obstore.get_async(self._store, name)).bytes_async())
        except (NotFoundError, FileNotFoundError):
            raise SegmentFault(f"{name}: there is no such file, though a seal names it") from None
        except BaseError as error:
            raise OSError(str(error)) from None

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            await obstore.put_async(self._store, name, content)
        except BaseError as error:
            raise OSError(str(error)) from None


def place(address: str) -> Folder | Bucket:
    """The segments in a directory or behind s3://…. Raises `OSError`; `ValueError` where the address is neither."""
    scheme, separator, _ = address.partition("://")
    if not separator:
        return Folder(Path(address))
    if scheme != "s3":
        raise ValueError(f"{address} is no directory, and not s3://")
    return Bucket(address)
