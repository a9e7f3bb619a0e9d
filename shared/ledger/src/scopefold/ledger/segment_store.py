"""Where segments live: a directory, a NATS object store, or a bucket behind an S3 address.

A file appears there whole or not at all, and is never changed: that is all that a chain of segments asks of a store.
"""

import os
from pathlib import Path
from typing import Final, Protocol

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import ObjectStoreConfig
from nats.js.object_store import ObjectStore

from scopefold.ledger.segment import SegmentFault, is_seal

BUCKET: Final = "SEGMENTS"
"""The object store's name on the bus."""


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
    """An object store of JetStream: what a bucket there holds under a name was put whole."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    @classmethod
    async def open(cls, js: JetStreamContext, bucket: str = BUCKET) -> "OnBus":
        """The store of this name; it is made where there is none yet."""
        try:
            return cls(await js.object_store(bucket))
        except nats.js.errors.NotFoundError:
            return cls(await js.create_object_store(bucket, config=ObjectStoreConfig(description="Sealed segments.")))

    async def seals(self) -> list[str]:
        """See `Store`."""
        try:
            found = await self._objects.list()
        except nats.js.errors.NotFoundError:  # so it answers where there is nothing yet
            return []
        return sorted(one.name for one in found if is_seal(one.name))

    async def get(self, name: str) -> bytes:
        """See `Store`."""
        try:
            return (await self._objects.get(name)).data or b""
        except nats.js.errors.NotFoundError:
            raise SegmentFault(f"{name}: there is no such file, though a seal names it") from None

    async def put(self, name: str, content: bytes) -> None:
        """See `Store`."""
        await self._objects.put(name, content)


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
