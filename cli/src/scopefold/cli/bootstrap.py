"""Declare what Scopefold keeps on the bus. Part of the server half: needs scopefold[server]."""

from scopefold.auth.store import declared
from scopefold.cli.connected import connected
from scopefold.cli.failure import refused
from scopefold.cli.reach import Reach
from scopefold.ledger.log import LogMisdeclared, declare


async def declare_all(reach: Reach, *, replicas: int) -> bool:
    """Declare the log and auth's buckets; True if the log is new. What exists stays as it is. Raises `Failure`."""
    async with connected(reach) as log:
        try:
            created = await declare(log, replicas=replicas)
        except LogMisdeclared as error:
            raise refused("The log on this bus is not safe", str(error)) from None
        await declared.declare(log.js, replicas=replicas)
        return created
