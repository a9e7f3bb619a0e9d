"""One `scopefold up --sandbox` for all tests that only use it."""

from collections.abc import Iterator

import pytest

from tests.cli.command import Up


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running Scopefold with the sandbox, set up for a newcomer."""
    running = Up(tmp_path_factory.mktemp("up") / "data", "--sandbox")
    try:
        running.ready()
        yield running
    finally:
        code = running.stop()
    assert code == 0, running.said
