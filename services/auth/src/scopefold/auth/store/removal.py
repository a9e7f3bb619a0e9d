"""Removing entries for good: their content, their keys, and what deletions leave behind."""

import nats.js.errors

from scopefold.auth.store.buckets import _AWAY, Bucket, is_absence
from scopefold.ledger.log import LogUnavailable


async def drop(bucket: Bucket, key: str) -> None:
    """Delete an entry, whatever it is now. Whoever keeps reads of it hears of that; a mark of it stays."""
    try:
        await bucket._kv.delete(key)
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error!r}") from None
    finally:
        bucket._changed(key)


async def erase(bucket: Bucket, key: str) -> None:
    """Remove an entry and, where the bucket allows it, have it written over on disk, its key and all.

    Nobody hears of it, and no mark stays.
    """
    js, name = bucket._place
    try:
        found = await js.get_msg(f"KV_{name}", subject=f"$KV.{name}.{key}")
        assert found.seq is not None
        await js.delete_msg(f"KV_{name}", found.seq)
    except nats.js.errors.APIError as error:
        if not is_absence(error):  # a bucket that was made before this could be, or another was faster
            await purge(bucket, key)
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error!r}") from None
    finally:
        bucket._changed(key)


async def purge(bucket: Bucket, pattern: str) -> None:
    """Remove all entries whose keys match, and the marks that deletions left. Nobody hears of it."""
    js, name = bucket._place
    try:
        await js.purge_stream(f"KV_{name}", subject=f"$KV.{name}.{pattern}")
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error!r}") from None
