"""One world for all tests of this folder that leave it running; each makes IdPs, apps and people of its own."""

from collections.abc import Iterator

import pytest

from tests.auth.world import World, new_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Several IdPs, so every request says by `idp_hint` or `resource` where it goes."""
    with new_world(tmp_path_factory.mktemp("world")) as running:
        yield running
        assert "Traceback" not in running.auth.said()
