"""One issuer and one sandbox for all tests of this folder, and a fresh browser for each."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.sandbox import issuer as issuers
from tests.sandbox import process
from tests.sandbox.visitor import Visitor


@pytest.fixture(scope="session")
def shared_issuer() -> Iterator[issuers.Issuer]:
    """The issuer's server."""
    with issuers.running() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def sandbox(shared_issuer: issuers.Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The sandbox's base address."""
    log = tmp_path_factory.mktemp("sandbox") / "log"
    with process.running(log, shared_issuer.address) as address:
        yield address
    assert "Traceback" not in log.read_text()


@pytest.fixture
async def visitor(sandbox: str, shared_issuer: issuers.Issuer) -> AsyncIterator[Visitor]:
    """A browser without cookies."""
    one = Visitor(sandbox, f"{shared_issuer.address}/oauth2/callback/atlassian")
    async with one.http:
        yield one
