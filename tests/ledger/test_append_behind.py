"""Appending where another replica answers reads, and is behind what the leader has stored."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.js.api import StreamConfig, StreamSource

from scopefold.contracts.subjects import idps_filter
from scopefold.ledger.append import Conflict, Expected
from scopefold.ledger.log import STREAM, Log, LogUnavailable
from tests.auth.world import until
from tests.ledger.test_append_and_read import JIRA, logged_in, put

TIMES = 12
"""Of two who may answer, the server takes either."""


@pytest.fixture
async def behind(log: Log) -> AsyncIterator[Log]:
    """The log, with a replica that answers direct gets for it, too (ADR-31), and has nothing of the IdPs yet."""
    await put(log, logged_in("user-0001"), ids="before")
    mirror = StreamSource(name=STREAM, filter_subject="ledger.*.user.>")
    await log.js.add_stream(StreamConfig(name="BEHIND", mirror=mirror, mirror_direct=True))

    async def there() -> bool:
        return bool((await log.js.stream_info("BEHIND")).state.messages)

    await until(there)  # it answers from its first message on
    yield log
    await log.js.delete_stream("BEHIND")


def expecting(seq: int) -> Expected:
    return Expected(idps_filter("default"), seq)


async def test_what_a_replica_does_not_know_yet_is_no_conflict(behind: Log) -> None:
    """That it could not be found out is no answer: whoever repeats the append gets one."""
    last = 0
    for mine in range(2, 2 * TIMES + 2, 2):
        await put(behind, JIRA, ids=f"mine{mine}", by="provisioner", expected=expecting(last))
        await put(behind, JIRA, ids=f"theirs{mine}", by="provisioner", expected=expecting(mine))
        with suppress(LogUnavailable):
            await put(behind, JIRA, ids=f"mine{mine}", by="provisioner", expected=expecting(last))
        last = mine + 1
    assert 1 + 2 * TIMES == (await behind.js.stream_info(STREAM)).state.messages


async def test_a_stale_writer_stores_nothing_there_either(behind: Log) -> None:
    await put(behind, JIRA, ids="first", by="provisioner", expected=expecting(0))
    told = []
    for place in range(TIMES):
        try:
            await put(behind, JIRA, ids=f"other{place}", by="provisioner", expected=expecting(0))
        except (Conflict, LogUnavailable) as refused:
            told.append(type(refused))
    assert (TIMES, True) == (len(told), Conflict in told)
    assert 2 == (await behind.js.stream_info(STREAM)).state.messages


async def test_an_expectation_beyond_the_end_of_the_log_is_no_conflict(log: Log) -> None:
    """Nobody wrote first: the log is shorter than it was, or the server could not look."""
    with pytest.raises(LogUnavailable, match="wrong last sequence"):
        await put(log, JIRA, ids="mine", by="provisioner", expected=expecting(7))


async def test_an_event_that_a_replica_does_not_know_yet_is_not_taken_for_somebody_elses(behind: Log) -> None:
    """It is stored once, whoever is asked what stands under its id."""
    for _ in range(TIMES):
        with suppress(LogUnavailable):
            await put(behind, JIRA, ids="same", by="provisioner")
    assert 2 == (await behind.js.stream_info(STREAM)).state.messages
