"""A vault on a bus, without a service around it; and what is in it as it lies there."""

import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import msgspec
import nats
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from scopefold.auth.core.rotation import Kind, Rotation
from scopefold.auth.core.seal import Sealed
from scopefold.auth.core.stored_token import Identity, StoredToken
from scopefold.auth.store import buckets, declared, rotation
from scopefold.auth.store.vault import Vault
from tests.auth.world import declare_all

OLD: Final = secrets.token_bytes(32)
NEW: Final = secrets.token_bytes(32)


def text_of(*keks: bytes) -> str:
    """As an operator writes them, one a line."""
    return "\n".join(base64.b64encode(kek).decode() for kek in keks)


def token(secret: str) -> StoredToken:
    """A token with this access token in it."""
    return StoredToken(
        Identity("subject"), secret, None, ("a",), ("a",), (), "echoed", "login", 1, "f" * 22, None, None, None, None
    )


@asynccontextmanager
async def bucket(url: str) -> AsyncIterator[tuple[buckets.Bucket, KeyValue]]:
    """The vault's bucket, as the service sees it and as it lies there."""
    await declare_all(url)
    nc = await nats.connect(url)
    yield (await buckets.connect(nc.jetstream())).vault, await nc.jetstream().key_value(declared.VAULT)
    await nc.close()


async def emptied(rows: buckets.Bucket, raw: KeyValue) -> Vault:
    """A vault that has just been made, with the old key."""
    await raw._js.purge_stream("KV_vault")
    return await opened(rows, OLD)


async def opened(rows: buckets.Bucket, *keks: bytes) -> Vault:
    """The vault, as another replica opens it that was given these keys."""
    vault = Vault(rows, "default", *keks)
    await vault.open()
    return vault


async def sealed_with(raw: KeyValue) -> dict[str, str]:
    """Which key each sealed row is sealed with."""
    # Not by the library's own list: it can end before it has begun.
    told = await raw._js.stream_info("KV_vault", subjects_filter="$KV.vault.>")
    found: dict[str, str] = {}
    for name in sorted(subject.removeprefix("$KV.vault.") for subject in told.state.subjects or ()):
        if name != "rotation" and not name.startswith("identity."):
            with contextlib.suppress(NotFoundError):
                found[name] = (await row_of(raw, name)).key_id
    return found


async def row_of(raw: KeyValue, name: str) -> Sealed:
    """A row as it lies there."""
    return msgspec.msgpack.decode((await raw.get(name)).value or b"", type=Sealed)


async def finished(vault: Vault, kind: Kind, *moments: datetime, most: int = 100) -> Rotation:
    """A rotation to its end; `moments` are the times that it goes on at."""
    await rotation.begin(vault.keys, kind, moments[0])
    for moment in moments:
        for _ in range(200):
            found = await rotation.step(vault.keys, moment, most=most)
            assert found is not None
            if found.finished_at is not None:
                return found
            if found.resume_at is not None and moment < found.resume_at:
                break
    raise AssertionError("it did not come to its end")
