"""What auth hears on the bus: that the log has moved, and services that ask for users' tokens."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from faststream.nats import NatsBroker, NatsMessage
from faststream.nats.annotations import NatsMessage as Present

from scopefold.contracts.exchange import ExchangeAnswer, exchange_filter
from scopefold.contracts.subjects import tenant_filter

QUEUE: Final = "auth"
WORKERS: Final = 128
"""More than are served at once, so that whoever is one too many hears so at once."""
INBOXES: Final = ("_R_.", "_INBOX.")
"""What a reply address begins with: the server's own for who asks from another account, and a client's."""

Exchanger = Callable[[str, bytes], Awaitable[ExchangeAnswer]]
"""Answers a service, by its name and what it sent."""


def subscribe(tenant: str, wake: asyncio.Event, exchanger: Exchanger | None) -> Callable[[NatsBroker], None]:
    """Adds the subscribers: one wakes the fold, and one answers services, where there is an `exchanger`."""

    def add(broker: NatsBroker) -> None:
        # What was published is read from the log, in order, and not here.
        # no_reply: the reply address of these messages belongs to the log, which answers the publisher there.
        @broker.subscriber(tenant_filter(tenant), decoder=_untouched, no_reply=True)
        async def moved(body: bytes) -> None:
            wake.set()

        if exchanger is not None:
            _answer_exchanges(broker, tenant, exchanger)

    return add


def _answer_exchanges(broker: NatsBroker, tenant: str, exchanger: Exchanger) -> None:
    """Replicas share what is asked through one queue group."""

    @broker.subscriber(exchange_filter(tenant), queue=QUEUE, decoder=_untouched, max_workers=WORKERS, no_reply=True)
    async def asked(body: bytes, message: Present) -> None:
        subject, reply = message.raw_message.subject, message.raw_message.reply
        if reply.startswith(INBOXES):  # nobody waits for the answer, or it would go where no answer belongs
            await broker.publish(await exchanger(subject.rpartition(".")[2], body), subject=reply)


async def _untouched(message: NatsMessage) -> bytes:
    return message.body
