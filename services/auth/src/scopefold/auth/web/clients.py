"""Clients, as the store keeps them; read for every login, so kept in memory for a moment."""

import time
from typing import Final

from scopefold.auth.store.buckets import Bucket, Taken, hashed
from scopefold.auth.store.records import Client

KEPT_SECONDS: Final = 5.0
KEPT: Final = 1000


class Clients:
    """The registered clients. A change at another replica is seen after 5 seconds at the latest."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._kept: dict[str, tuple[Client, float]] = {}

    async def get(self, client_id: str) -> Client | None:
        """The client of this id. Only those that exist are remembered: who asks for others costs no memory."""
        kept = self._kept.get(client_id)
        if kept is not None and time.monotonic() - kept[1] < KEPT_SECONDS:
            return kept[0]
        found = await self._bucket.get(hashed(client_id), Client)
        if found is None:
            return None
        if len(self._kept) >= KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[client_id] = (found[0], time.monotonic())
        return found[0]

    async def add(self, client: Client) -> Client | None:
        """Register a client; the one that has the id already, if there is one."""
        if (found := await self._bucket.get(hashed(client.client_id), Client)) is not None:
            return found[0]
        try:
            await self._bucket.create(hashed(client.client_id), client)
        except Taken:  # registered by a parallel request
            return await self.get(client.client_id)
        return None

    async def all(self) -> list[Client]:
        """Every client, by id."""
        found = [await self._bucket.get(key, Client) for key in await self._bucket.keys()]
        return sorted((one[0] for one in found if one is not None), key=lambda client: client.client_id)
