"""Which making of a stream this is: one that was restored from a backup is another than it was, under the same name."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from nats.js.api import StreamInfo

RESTORED_AT: Final = "scopefold_restored_at"
"""The member of a stream's metadata that says when it was restored."""
LONGEST_RESTORE: Final = timedelta(days=1)


def restored(config: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The configuration of a stream with which to restore it now."""
    return {**config, "metadata": {**(config.get("metadata") or {}), RESTORED_AT: now.isoformat()}}


def created(info: StreamInfo) -> datetime:
    """When the stream was made or restored.

    The servers of a cluster do not agree on when they restored a stream: whoever leads it tells a time of its own,
    until it is started anew. So what was written at the restore counts. If the server's own time is of another day,
    somebody has restored a copy by other means, and what is written there is of the restore before.
    """
    assert info.created is not None
    try:
        written = datetime.fromisoformat((info.config.metadata or {})[RESTORED_AT])
        return written if abs(info.created - written) < LONGEST_RESTORE else info.created
    except (KeyError, TypeError, ValueError):  # never restored; or it was written by somebody else
        return info.created
