"""One world for all tests of this folder that leave it running; each makes IdPs, apps and people of its own."""

import asyncio
from collections.abc import Iterator

import pytest

from scopefold.cli.ports import free_port
from tests.auth.oidc import oidc_idp
from tests.auth.world import World, auth, beside, new_world, until_ready
from tests.support.logs import JIRA, provisioned
from tests.support.process import Service


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Several IdPs, so every request says by `idp_hint` or `resource` where it goes."""
    with new_world(tmp_path_factory.mktemp("world")) as running:
        yield running
        said = running.auth.said()
        assert "Traceback" not in said, said[said.index("Traceback") :][:9000].replace("\\n", "\n")


@pytest.fixture(scope="session")
def strict(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Another replica of the world's service, behind a proxy, which limits more and takes no proof without a nonce."""
    narrow = {"logins_per_minute": "20", "failures_per_minute": "5", "trusted_proxies": "127.0.0.0/8"}
    directory = tmp_path_factory.mktemp("strict")
    with auth(directory, **{**world.settings, **narrow}, dpop_nonce="required") as running:
        asyncio.run(until_ready(running))
        yield running


@pytest.fixture(scope="module")
def jira(world: World) -> str:
    """An Atlassian with one connector, for tests that do not care what came before in their module."""
    return asyncio.run(world.idp_with_jira())


@pytest.fixture(scope="module")
def renewable(world: World) -> str:
    """The same, whose connector asks for refresh tokens."""

    async def made() -> str:
        idp = await world.idp_with_jira()
        await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
        return idp

    return asyncio.run(made())


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


@pytest.fixture(scope="session")
def with_path(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A service whose issuer has a path."""
    port = free_port()
    directory = tmp_path_factory.mktemp("path")
    with beside(world, directory, port=str(port), issuer=f"http://127.0.0.1:{port}/login") as other:
        yield other
