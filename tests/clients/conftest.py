"""A Scopefold as a recipe's reader has it: one IdP, and clients that are told an issuer, an id, a secret, no more."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.auth.oidc import oidc_idp
from tests.auth.world import World, new_world
from tests.support import node


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Its IdP tells names, verified addresses and groups. Clients may register themselves."""
    with new_world(tmp_path_factory.mktemp("clients"), registration="open", client_documents="true") as running:
        asyncio.run(oidc_idp(running, groups_claim="groups"))
        yield running
        assert "Traceback" not in running.auth.said()


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the Node clients and what their lock file pins."""
    return node.installed(Path(__file__).parent / "node", tmp_path_factory.mktemp("node"))
