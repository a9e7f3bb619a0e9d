"""Replicas race to renew, and die while they do: no refresh token is sent twice, and nobody is left in a loop."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import httpx
import pytest

from scopefold.contracts.events import TokenCleared, TokenStored
from tests.auth.gateways import asked_again, atlassian, atlassian_seen
from tests.auth.world import World, auth, new_world, until, until_ready
from tests.faults.renewals import ASKED_OF_EACH, MODES, SHORT_SECONDS, Cell, campaign, near_the_end, users_of
from tests.support.process import Service

pytestmark = pytest.mark.faults
SEED = 20261122


def test_replicas_that_race_renew_each_token_once(tmp_path: Path) -> None:
    found = list(campaign(SEED, [Cell(mode, 3, 3) for mode in MODES], tmp_path))
    assert [] == [one for one in found if not one.holds]
    assert sum(one.asked for one in found) == len(MODES) * 3 * 3 * ASKED_OF_EACH


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(tmp_path_factory.mktemp("renewals"), renewal_seconds=SHORT_SECONDS) as running:
        yield running


CRASHES: Final = {
    # where a replica dies: what the next one who asks gets, and which reason the log gives for a token that is gone
    "renewal.begun": (200, None),
    "renewal.answered": (403, "lost"),
    "renewal.stored": (200, None),
}


def test_a_replica_that_dies_leaves_no_loop_behind(world: World, tmp_path: Path) -> None:
    """All at once, since each waits for the lease of its dead to run out."""
    with ExitStack() as stack:
        dying = {
            place: stack.enter_context(
                auth(tmp_path / place, **world.settings, renewal_seconds=SHORT_SECONDS, crash_at=place)
            )
            for place in CRASHES
        }
        asyncio.run(die_and_are_followed(world, dying))


async def die_and_are_followed(world: World, dying: dict[str, Service]) -> None:
    app, users = await world.register_client(), await users_of(world, len(dying))
    for service in dying.values():
        await until_ready(service)
    tokens = await near_the_end(world, app, users)
    before = await atlassian_seen(world)
    async with atlassian(world, refresh_leeway_seconds=0):
        for service, user, token in zip(dying.values(), users, tokens, strict=True):
            with pytest.raises(httpx.HTTPError):
                await user.gateway.exchange(token, at=service.url)
            service.process.wait(10)
        answers = await asyncio.gather(
            *(asked_again(user.gateway, token) for user, token in zip(users, tokens, strict=True))
        )
    after = await atlassian_seen(world)
    assert [status for status, _ in CRASHES.values()] == [one.status_code for one in answers], answers[0].text
    assert ["lost"] == [one.reason for one in await world.said(TokenCleared, users[0].idp)]
    # begun: asked once, by the second; answered: by the first, and refused the second; stored: by the first alone.
    assert (3, 1) == (after["renewals"] - before["renewals"], after["breaches"] - before["breaches"])

    async def logged() -> bool:
        stored = [one for one in await world.said(TokenStored, users[0].idp) if one.cause == "refresh"]
        return 2 == len(stored)

    await until(logged)
