"""One issuer and one sandbox for all tests of this folder, and a fresh browser for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sandbox import issuer as issuers
from tests.sandbox.visitor import Visitor
from tests.support import process


@pytest.fixture(scope="session")
def shared_issuer() -> Iterator[issuers.Issuer]:
    """The issuer's server."""
    with issuers.running() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def sandbox(shared_issuer: issuers.Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sandbox's base address."""
    with process.running("sandbox", tmp_path_factory.mktemp("sandbox"), issuer=shared_issuer.address) as service:
        yield service.url
    assert "Traceback" not in service.said()


@pytest.fixture
async def visitor(sandbox: str, shared_issuer: issuers.Issuer) -> AsyncIterator[Visitor]:
    """A browser without cookies."""
    one = Visitor(sandbox, f"{shared_issuer.address}/oauth2/callback/atlassian")
    async with one.http:
        yield one
