"""Clients, as the store keeps them; read for every login, so kept in memory for a moment."""

import time
from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from scopefold.auth.store.buckets import Bucket, Taken, hashed
from scopefold.auth.store.records import Client
from scopefold.auth.web.client_documents import ClientDocuments
from scopefold.runtime.kept import Kept

KEPT_SECONDS: Final = 5.0
KEPT: Final = 1000
DYNAMIC_PREFIX: Final = "dc_"
UNUSED_SECONDS: Final = 24 * 3600
"""How long a client that registered itself may wait for its first login."""

SEEN_EVERY: Final = timedelta(days=1)


class Clients:
    """The clients: registered by operators, by themselves, or described at their address.

    A change at another replica is seen after 5 seconds at the latest; of a document, after 5 minutes.
    """

    def __init__(self, bucket: Bucket, dynamic: Bucket, described: ClientDocuments | None) -> None:
        self._bucket = bucket
        self._dynamic = dynamic
        self._described = described
        self._kept: Kept[str, tuple[Client, float]] = Kept(KEPT)
        self.own: Client | None = None

    async def get(self, client_id: str) -> Client | None:
        """The client of this id. Only those that exist are remembered: who asks for others costs no memory."""
        if self.own is not None and client_id == self.own.client_id:
            return self.own
        kept = self._kept.get(client_id)
        if kept is not None and time.monotonic() - kept[1] < KEPT_SECONDS:
            return kept[0]
        found = await self.present(client_id)
        if found is None:
            return await self._described.get(client_id) if self._described is not None else None
        self._kept.keep(client_id, (found[0], time.monotonic()))
        return found[0]

    async def who_had(self, client_id: str, registration: str, at_seconds: float) -> Client | None:
        """The client of this id, where it is the one that was given something, as `Client.had` says; else None. What is
        remembered says no to nobody: another replica may know of a later registration.
        """
        client = await self.get(client_id)
        if client is None or client.had(registration, at_seconds):
            return client
        self._kept.forget(client_id)
        client = await self.get(client_id)
        return client if client is not None and client.had(registration, at_seconds) else None

    async def present(self, client_id: str) -> tuple[Client, int] | None:
        """The registered client of this id as it is now, with the revision to replace it by."""
        bucket, key = self._place(client_id)
        return await bucket.get(key, Client)

    async def add(self, client: Client) -> Client | None:
        """Register a client; the one that has the id already, if there is one."""
        bucket, key = self._place(client.client_id)
        if (found := await bucket.get(key, Client)) is not None:
            return found[0]
        try:
            await bucket.create(key, client, keep_seconds=UNUSED_SECONDS if bucket is self._dynamic else None)
        except Taken:  # registered by a parallel request
            return await self.get(client.client_id)
        self._kept.forget(client.client_id)
        return None

    async def replace(self, client: Client, revision: int) -> None:
        """Replace the client of this revision. Raises `Taken`."""
        bucket, key = self._place(client.client_id)
        self._kept.forget(client.client_id)
        await bucket.update(key, client, revision=revision)
        self._kept.forget(client.client_id)

    async def remove(self, client_id: str, revision: int) -> None:
        """Remove the client of this revision. Raises `Taken`."""
        bucket, key = self._place(client_id)
        await bucket.take(key, revision)
        self._kept.forget(client_id)

    async def seen(self, client: Client, now: datetime) -> None:
        """A client that registered itself is in use: once a day, let it live on."""
        if client.origin != "dynamic" or (client.used_at is not None and now - client.used_at < SEEN_EVERY):
            return
        if (found := await self.present(client.client_id)) is not None:
            try:
                await self.replace(replace(found[0], used_at=now), found[1])
            except Taken:
                return  # changed or seen by somebody else at this moment: written anew either way

    async def all(self) -> list[Client]:
        """Every registered client, by id."""
        found = [await self._bucket.get(key, Client) for key in await self._bucket.keys()]
        found += [await self._dynamic.get(key, Client) for key in await self._dynamic.keys("client.*")]
        return sorted((one[0] for one in found if one is not None), key=lambda client: client.client_id)

    def _place(self, client_id: str) -> tuple[Bucket, str]:
        if client_id.startswith(DYNAMIC_PREFIX):
            return self._dynamic, f"client.{hashed(client_id)}"
        return self._bucket, hashed(client_id)
