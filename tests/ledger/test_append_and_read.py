"""The log keeps what it acknowledged, once, in order, and refuses a writer whose knowledge is stale."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import pytest

from scopefold.contracts.events import ConnectorProvisioned, Event, UserLoggedIn
from scopefold.contracts.recorded import Recorded, examine
from scopefold.contracts.subjects import idps_filter
from scopefold.ledger.append import Conflict, Expected, NewEvent, append
from scopefold.ledger.follow import LIVE_BATCH, Checkpoint, LogReplaced, catch_up, follow
from scopefold.ledger.log import Log, declare, status
from scopefold.ledger.read import read

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JIRA = ConnectorProvisioned(
    resource_type="urn:connector:identos:jira-user",
    connector="identos.jira-user",
    connector_version="1.0.0",
    title="Jira",
    auth_mode="idp_passthrough",
    idp="atlassian",
    upstream_scopes=("read:me", "read:jira-work"),
)


def logged_in(user: str) -> UserLoggedIn:
    return UserLoggedIn(user=user, idp="atlassian", client="playground")


async def put(log: Log, *events: Event, ids: str, expected: Expected | None = None, by: str = "auth") -> None:
    new = [NewEvent(f"{ids}-{n:05}", event) for n, event in enumerate(events)]
    await append(log, new, tenant="default", publisher=by, now=NOW, expected=expected)


async def everything(log: Log, batch: int = 1000) -> list[Recorded]:
    found = [examine(message) async for page in read(log, batch=batch) for message in page]
    assert all(isinstance(one, Recorded) for one in found), found
    return [one for one in found if isinstance(one, Recorded)]


async def test_an_empty_log_reads_as_nothing(log: Log) -> None:
    assert await everything(log) == []


async def test_what_was_appended_comes_back_in_order_whatever_the_batch(log: Log) -> None:
    users = [f"user-{n:04}" for n in range(25)]
    await put(log, *(logged_in(user) for user in users), ids="batch")
    for size in (1, 7, 1000):
        found = await everything(log, size)
        assert [(n + 1, logged_in(user)) for n, user in enumerate(users)] == [(one.seq, one.event) for one in found]


async def test_the_same_append_twice_is_stored_once(log: Log) -> None:
    for _ in range(2):
        await put(log, logged_in("user-0001"), ids="single")
        await put(log, logged_in("user-0001"), logged_in("user-0002"), ids="double")
    assert len(await everything(log)) == 3


async def test_a_batch_of_which_a_part_is_stored_adds_only_the_rest(log: Log) -> None:
    await put(log, logged_in("user-0001"), ids="again")
    await put(log, logged_in("user-0001"), logged_in("user-0002"), ids="again")
    assert [getattr(one.event, "user", "") for one in await everything(log)] == ["user-0001", "user-0002"]


async def test_a_writer_with_stale_knowledge_is_refused(log: Log) -> None:
    await put(log, JIRA, ids="first", by="provisioner", expected=Expected(idps_filter("default"), 0))
    with pytest.raises(Conflict):
        await put(log, JIRA, ids="other", by="provisioner", expected=Expected(idps_filter("default"), 0))
    assert len(await everything(log)) == 1


async def test_a_retry_of_a_stored_conditional_append_is_no_conflict(log: Log) -> None:
    expected = Expected(idps_filter("default"), 0)
    await put(log, JIRA, ids="mine", by="provisioner", expected=expected)
    await put(log, JIRA, ids="theirs", by="provisioner", expected=Expected(idps_filter("default"), 1))
    await put(log, JIRA, ids="mine", by="provisioner", expected=expected)
    assert len(await everything(log)) == 2


async def test_catching_up_in_parts_gives_the_same_running_hash(log: Log) -> None:
    async def ignore(_: object, __: Checkpoint) -> None:
        pass

    await put(log, *(logged_in(f"user-{n:04}") for n in range(10)), ids="one")
    half = await catch_up(log, None, ignore, batch=3)
    await put(log, *(logged_in(f"user-{n:04}") for n in range(10)), ids="two")
    assert await catch_up(log, None, ignore) == await catch_up(log, half, ignore, batch=4)


async def test_who_follows_reads_in_large_batches_until_it_can_answer_and_then_in_small_ones(log: Log) -> None:
    """Who asks meanwhile waits for one batch at most."""
    applied: list[int] = []
    wake, caught_up = asyncio.Event(), asyncio.Event()

    async def count(batch: Sequence[object], _: Checkpoint) -> None:
        applied.append(len(batch))

    await put(log, *(logged_in(f"user-{n:04}") for n in range(5 * LIVE_BATCH)), ids="before")
    following = asyncio.create_task(follow(log, None, count, wake, caught_up.set))
    try:
        await asyncio.wait_for(caught_up.wait(), 30)
        assert [5 * LIVE_BATCH] == applied
        caught_up.clear()
        await put(log, *(logged_in(f"user-{n:04}") for n in range(5 * LIVE_BATCH)), ids="later")
        wake.set()
        async with asyncio.timeout(30):
            while sum(applied) < 10 * LIVE_BATCH:
                await caught_up.wait()
                caught_up.clear()
        assert LIVE_BATCH == max(applied[1:])
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_who_follows_ends_when_told_to_in_the_moment_in_which_more_comes(log: Log) -> None:
    """Else Ctrl-C is lost, and a service that is stopped waits for its fold in vain."""
    loop, wake = asyncio.get_running_loop(), asyncio.Event()

    async def ignore(_: object, __: Checkpoint) -> None:
        pass

    def more_and_stop() -> None:
        wake.set()
        loop.call_soon(following.cancel)

    await put(log, logged_in("user-0001"), ids="one")

    def while_it_waits() -> None:
        loop.call_soon(loop.call_soon, more_and_stop)

    following = asyncio.create_task(follow(log, None, ignore, wake, while_it_waits))
    await ends_by_cancellation(following, seconds=5)


async def test_who_follows_ends_though_the_bus_client_lost_the_word(log: Log) -> None:
    async def lose(_: object, __: Checkpoint) -> None:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    await put(log, logged_in("user-0001"), ids="one")
    following = asyncio.create_task(follow(log, None, lose, asyncio.Event(), lambda: None))
    await ends_by_cancellation(following, seconds=10)


async def ends_by_cancellation(following: "asyncio.Task[None]", *, seconds: float) -> None:
    """It has been told to end; whether it does or not, it is over after this."""
    done, _ = await asyncio.wait([following], timeout=seconds)
    try:
        assert {following} == done
        assert following.cancelled()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_another_log_under_the_same_name_stops_the_reader(log: Log) -> None:
    async def ignore(_: object, __: Checkpoint) -> None:
        pass

    await put(log, logged_in("user-0001"), ids="one")
    reached = await catch_up(log, None, ignore)
    await log.js.delete_stream("LEDGER")
    await declare(log)
    with pytest.raises(LogReplaced):
        await catch_up(log, reached, ignore)


async def test_declaring_again_changes_nothing(log: Log) -> None:
    before = (await log.js.stream_info("LEDGER")).config
    assert await declare(log, max_bytes=12345) is False
    assert before == (await log.js.stream_info("LEDGER")).config
    assert (await status(log)).last_seq == 0
