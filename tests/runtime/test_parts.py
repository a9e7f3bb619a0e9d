"""A part of a service runs until it ends by itself or the service does; no defect ends it for good."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from scopefold.runtime.parts import LONGEST_REST_SECONDS, Parts, rest_seconds

WAIT_SECONDS = 10


async def of_a_cancelled_wait() -> None:
    """As where what a part waits for is cancelled by another."""
    waited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waited.cancel()
    await waited


async def of_a_mistake() -> None:
    raise KeyError("nothing of the sort")


@pytest.mark.parametrize("defect", [of_a_mistake, of_a_cancelled_wait])
async def test_a_part_that_a_defect_ends_is_begun_again_with_what_it_was_given(
    defect: Callable[[], Awaitable[None]],
) -> None:
    begun: list[str] = []
    rests: list[int] = []
    well = asyncio.Event()

    async def ailing(given: str) -> None:
        begun.append(given)
        if len(begun) < 4:
            await defect()
        well.set()
        await asyncio.Event().wait()

    def no_rest(in_a_row: int) -> float:
        rests.append(in_a_row)
        return 0.0

    parts = Parts(rest=no_rest)
    parts.begin(ailing, "this")
    async with asyncio.timeout(WAIT_SECONDS):
        await well.wait()
        await parts.end()
    assert ["this"] * 4 == begun
    assert [1, 2, 3] == rests
    assert [3] == list(parts.defects.values())


async def test_after_a_steady_time_the_rest_is_short_again() -> None:
    rests: list[int] = []
    enough = asyncio.Event()

    async def ailing() -> None:
        raise KeyError

    def noted(in_a_row: int) -> float:
        rests.append(in_a_row)
        if len(rests) == 3:
            enough.set()
        return 0.0

    parts = Parts(rest=noted, steady_seconds=0.0)
    parts.begin(ailing)
    async with asyncio.timeout(WAIT_SECONDS):
        await enough.wait()
        await parts.end()
    assert [1, 1, 1] == rests[:3]


async def test_a_part_that_ends_by_itself_stays_ended_and_nobody_waits_for_it() -> None:
    times = 0

    async def brief() -> None:
        nonlocal times
        times += 1

    parts = Parts()
    async with asyncio.timeout(WAIT_SECONDS):
        await parts.begin(brief)
        await parts.end()
    assert 1 == times
    assert [0] == list(parts.defects.values())


@pytest.mark.parametrize(("in_a_row", "rest"), [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (100_000, 30.0)])
def test_the_rest_grows_to_a_bound(in_a_row: int, rest: float) -> None:
    assert rest == rest_seconds(in_a_row) <= LONGEST_REST_SECONDS
