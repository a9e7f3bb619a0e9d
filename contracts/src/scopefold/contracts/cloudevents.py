"""CloudEvents 1.0 attributes as NATS headers: the binary mode of the CloudEvents NATS binding, section 3.1."""

from collections.abc import Mapping
from datetime import datetime

from scopefold.contracts.events import Event, tag_of
from scopefold.contracts.recorded import SOURCE_PREFIX


def headers_of(event: Event, *, event_id: str, publisher: str, occurred_at: datetime) -> Mapping[str, str]:
    """The headers under which an event is published.

    `ce-id` is also `Nats-Msg-Id`, so that the log stores an id once within its duplicate window.
    """
    return {
        "Nats-Msg-Id": event_id,
        "ce-specversion": "1.0",
        "ce-id": event_id,
        "ce-type": tag_of(type(event)),
        "ce-source": SOURCE_PREFIX + publisher,
        "ce-time": occurred_at.isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
    }
