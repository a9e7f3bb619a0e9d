"""A fold that is cancelled has done a batch or not, and leaves nothing begun."""

import asyncio
import threading
from pathlib import Path

import pytest

from scopefold.consent.reconsent import replay, worklist
from tests.auth.test_projection import LONG, feed, opened, rows_by


async def test_a_cancelled_apply_is_done_or_not_and_the_next_one_works(tmp_path: Path) -> None:
    """Cancelled at every point of its way, the commit among them."""
    for steps in range(1, 40):
        async with opened(tmp_path / f"{steps}.db") as projection:
            task = asyncio.create_task(feed(projection, LONG[:20], 20))
            for _ in range(steps):
                await asyncio.sleep(0)
                if not projection._db._tx.empty():
                    await projection._db.execute("SELECT 1")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
                raise asyncio.CancelledError  # it was faster
            seq = projection.checkpoint.seq if projection.checkpoint else 0
            assert seq in (0, 20)
            await feed(projection, LONG[seq:40], 20)
            assert list(worklist(replay(LONG[:40]))) == await rows_by(projection, 7)


async def test_one_that_is_cancelled_before_it_began_leaves_nothing_begun(tmp_path: Path) -> None:
    async with opened(tmp_path / "p.db") as projection:
        held, free = threading.Event(), threading.Event()

        def hold() -> None:
            held.set()
            assert free.wait(30)

        await projection._db.create_function("hold", 0, hold)
        busy = asyncio.create_task(projection._db.execute_fetchall("SELECT hold()"))
        assert await asyncio.to_thread(held.wait, 30)
        task = asyncio.create_task(feed(projection, LONG[:20], 20))
        await asyncio.sleep(0)
        assert 1 == projection._db._tx.qsize(), "its transaction waits for its turn"
        task.cancel()
        free.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await busy
        await feed(projection, LONG[:40], 20)
        assert list(worklist(replay(LONG[:40]))) == await rows_by(projection, 7)
