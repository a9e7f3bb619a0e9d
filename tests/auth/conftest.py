"""One world for all tests of this folder that leave it running; each makes IdPs, apps and people of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.auth.oidc import oidc_idp
from tests.auth.world import World, beside, new_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Several IdPs, so every request says by `idp_hint` or `resource` where it goes."""
    with new_world(tmp_path_factory.mktemp("world")) as running:
        yield running
        said = running.auth.said()
        assert "Traceback" not in said, said[said.index("Traceback") :][:9000].replace("\\n", "\n")


@pytest.fixture(scope="module")
def jira(world: World) -> str:
    """An Atlassian with one connector, for tests that do not care what came before in their module."""
    return asyncio.run(world.idp_with_jira())


@pytest.fixture(scope="module")
def directory(world: World) -> str:
    """An OpenID provider that tells groups."""
    return asyncio.run(oidc_idp(world, groups_claim="groups"))


@pytest.fixture(scope="session")
def guarded(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Another service of the same bus: clients register with an initial access token, or are described by documents."""
    with beside(world, tmp_path_factory.mktemp("guarded"), registration="token") as other:
        yield other


@pytest.fixture(scope="session")
def welcoming(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Another one, as a developer has it: every client may register, and documents may be on this machine."""
    with beside(
        world, tmp_path_factory.mktemp("welcoming"), registration="open", egress_networks="127.0.0.1/32"
    ) as other:
        yield other
