"""Which making of a stream it is: what was written at its restore, unless that was copied along by somebody else."""

from datetime import UTC, datetime, timedelta

import pytest
from nats.js.api import StreamInfo

from scopefold.ledger.incarnation import RESTORED_AT, created, restored

NOW = datetime(2026, 1, 15, 9, 30, 0, 123456, UTC)
SECOND = timedelta(seconds=1)


def told(server: datetime, metadata: dict[str, str] | None) -> StreamInfo:
    """What a server tells of a stream."""
    found: StreamInfo = StreamInfo.from_response(
        {
            "config": {"name": "LEDGER", "metadata": metadata},
            "state": {"messages": 0, "bytes": 0, "first_seq": 0, "last_seq": 0, "consumer_count": 0},
            "created": server.isoformat().replace("+00:00", "Z"),
        }
    )
    return found


@pytest.mark.parametrize("later", [-SECOND, timedelta(0), SECOND, timedelta(hours=5)])
def test_what_was_written_at_the_restore_counts_whatever_the_server_tells(later: timedelta) -> None:
    config = restored({"name": "LEDGER", "metadata": {"_nats.level": "1", RESTORED_AT: "2025-01-01T00:00:00Z"}}, NOW)
    assert {"_nats.level", RESTORED_AT} == set(config["metadata"])
    assert NOW == created(told(NOW + later, config["metadata"]))


def test_what_another_restore_copied_along_does_not_count() -> None:
    metadata = restored({"name": "LEDGER"}, NOW)["metadata"]
    then = NOW + timedelta(days=2)
    assert then == created(told(then, metadata))


@pytest.mark.parametrize("metadata", [None, {}, {RESTORED_AT: "soon"}, {RESTORED_AT: "2026-01-15T09:30:00"}])
def test_without_it_the_server_is_believed(metadata: dict[str, str] | None) -> None:
    assert NOW == created(told(NOW, metadata))
