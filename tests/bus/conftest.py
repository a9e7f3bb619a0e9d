"""One guarded bus for all tests that only knock at its doors."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bus.guarded import Guarded, declared, guarded


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """A bus with the log and the buckets, and a few services besides Scopefold's own."""
    with guarded(tmp_path_factory.mktemp("guarded")) as started:
        asyncio.run(declared(started))
        yield started


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[Guarded]:
    """A bus of the test's own, to change at will."""
    with guarded(tmp_path) as started:
        asyncio.run(declared(started))
        yield started
