"""One world for all tests of this folder that leave it running; each makes IdPs, apps and people of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.auth.world import World, auth, new_world, ready
from tests.support.process import Service


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Several IdPs, so every request says by `idp_hint` or `resource` where it goes."""
    with new_world(tmp_path_factory.mktemp("world")) as running:
        yield running
        assert "Traceback" not in running.auth.said()


@pytest.fixture(scope="session")
def strict(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another replica of the world's service, behind a proxy, which limits more and takes no proof without a nonce."""
    narrow = {"logins_per_minute": "20", "failures_per_minute": "5", "trusted_proxies": "127.0.0.0/8"}
    directory = tmp_path_factory.mktemp("strict")
    with auth(directory, **{**world.settings, **narrow}, dpop_nonce="required") as running:
        asyncio.run(ready(running))
        yield running
