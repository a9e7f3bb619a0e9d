"""One issuer and one sandbox for all tests of this folder, and a fresh browser for each."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from tests.sandbox import issuer as issuers
from tests.sandbox.visitor import Visitor
from tests.sandbox.walk import Place, Walk
from tests.support import process

WalkAt = Callable[[Place], Awaitable[Walk]]


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
    assert ["sandbox"] == list({json.loads(line)["service"]: None for line in service.said().splitlines()})


@pytest.fixture
async def visitor(sandbox: str, shared_issuer: issuers.Issuer) -> AsyncIterator[Visitor]:
    """A browser without cookies."""
    one = Visitor(sandbox, f"{shared_issuer.address}/oauth2/callback/atlassian")
    async with one.http:
        yield one


@pytest.fixture
async def walk_at(sandbox: str, shared_issuer: issuers.Issuer) -> AsyncIterator[WalkAt]:
    """Somebody at a stand-in that nobody has been to: no grant, no switch set, no fault. Left so afterwards."""
    begun: list[tuple[Walk, dict[str, Any]]] = []

    async def begin(place: Place) -> Walk:
        walk = Walk(sandbox, f"{shared_issuer.address}/oauth2/callback/{place.name}", place)
        settings = await walk.settings()
        del settings["app"]["client_id"]
        begun.append((walk, settings["app"]))
        await as_new(walk)
        return walk

    yield begin
    for walk, app in begun:
        await as_new(walk)
        await walk.set("app", **app)
        await walk.http.aclose()


async def as_new(walk: Walk) -> None:
    """Revoke every grant; put every switch and fault back."""
    for grant in (await walk.settings())["grants"]:
        await walk.revoke(grant["user"])
    await walk.set("switches")
    await walk.set("faults")
