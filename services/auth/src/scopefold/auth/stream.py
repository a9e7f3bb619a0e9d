"""What auth hears on the bus: that the log has moved."""

import asyncio
from collections.abc import Callable

from faststream.nats import NatsBroker, NatsMessage

from scopefold.contracts.subjects import tenant_filter


def subscribe(tenant: str, wake: asyncio.Event) -> Callable[[NatsBroker], None]:
    """Adds the subscriber that wakes the fold. What was published is read from the log, in order, and not here."""

    def add(broker: NatsBroker) -> None:
        # no_reply: the reply address of these messages belongs to the log, which answers the publisher there.
        @broker.subscriber(tenant_filter(tenant), decoder=_untouched, no_reply=True)
        async def moved(body: bytes) -> None:
            wake.set()

    return add


async def _untouched(message: NatsMessage) -> bytes:
    return message.body
