"""What a service does beside its requests: a part of it that a defect ends is begun again (ADR 0061)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, ParamSpec

from scopefold.runtime.logs import logger

FIRST_REST_SECONDS: Final = 1.0
LONGEST_REST_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0
"""What ran for so long had come through what ended it before."""
STOP_SECONDS: Final = 5.0
P = ParamSpec("P")
log = logger(__name__)


def rest_seconds(in_a_row: int) -> float:
    """How long a part rests after so many defects in a row."""
    return min(FIRST_REST_SECONDS * 2.0 ** min(in_a_row - 1, 10), LONGEST_REST_SECONDS)


class Parts:
    """The parts of one service, and how often a defect ended each since the process began."""

    def __init__(self, *, rest: Callable[[int], float] = rest_seconds, steady_seconds: float = STEADY_SECONDS) -> None:
        self.defects: dict[str, int] = {}
        self._rest = rest
        self._steady = steady_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, part: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs) -> asyncio.Task[None]:
        """Run a part until it ends by itself or the service does. What it is given must serve to begin it again."""
        name = part.__qualname__
        self.defects.setdefault(name, 0)
        task = asyncio.create_task(self._kept_up(name, lambda: part(*args, **kwargs)), name=name)
        self._tasks.add(task)
        return task

    async def _kept_up(self, name: str, part: Callable[[], Awaitable[None]]) -> None:
        me, in_a_row, clock = asyncio.current_task(), 0, asyncio.get_running_loop().time
        assert me is not None
        while True:
            began = clock()
            try:
                await part()
            except asyncio.CancelledError as error:
                if me.cancelling():
                    raise
                met: BaseException = error  # of something it waited for: nobody told this part to end
            except Exception as error:  # whatever it is: what watches nothing any more is missed by nobody
                met = error
            else:
                return
            in_a_row = 1 if clock() - began >= self._steady else in_a_row + 1
            self.defects[name] += 1
            rest = self._rest(in_a_row)
            log.critical("a part of the service ended by a defect", part=name, again_in_seconds=rest, exc_info=met)
            await asyncio.sleep(rest)

    async def end(self) -> None:
        """Cancel all, within 5 seconds; one of them may have something to give back."""
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        _, left = await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        for task in left:
            log.error("a part of the service does not end", part=task.get_name())
