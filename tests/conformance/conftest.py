"""One world for all twins, with one OpenID provider upstream, and what a twin may note."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from tests.auth.oidc import oidc_idp
from tests.auth.world import World, new_world
from tests.conformance.client import Redeemed, Warn, login


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """It has a single IdP, so requests are those of the modules, byte for byte: none says which IdP is meant."""
    offers = {"registration": "token", "egress_networks": "127.0.0.1/32"}
    with new_world(tmp_path_factory.mktemp("conformance"), **offers) as running:
        asyncio.run(oidc_idp(running))
        yield running
        assert "Traceback" not in running.auth.said()


@pytest.fixture(scope="session", autouse=True)
def redeemed(world: World) -> Redeemed:
    """A code that was redeemed before the first twin, for the one that brings it again late."""
    return Redeemed(asyncio.run(login(world)))


@pytest.fixture
def warn(record_property: Callable[[str, object], None]) -> Warn:
    """What the official suite would warn of, or what the twin does otherwise than its module."""
    return lambda note: record_property("note", note)
