"""Tokens that would die unused are renewed where the operator wants it, and no IdP that fails keeps others waiting."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import nats
import pytest
from msgspec.structs import replace

from scopefold.auth.settings import Settings
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.keep_alive import BEGINNING, BROKEN_OFF_SECONDS, one_pass
from scopefold.auth.web.service import Service as InProcess
from scopefold.auth.web.service import now
from scopefold.contracts.events import TokenCleared, TokenStored
from scopefold.runtime.secret import Secret
from tests.auth.gateways import at_its_end, atlassian, atlassian_seen, logged_in
from tests.auth.providers import row_of, vault
from tests.auth.test_metrics import told
from tests.auth.test_projection import feed
from tests.auth.world import World, auth, until, until_ready
from tests.support.logs import JIRA, log_of, provisioned, registered, stored
from tests.support.process import ADMIN, DEADLINE_SECONDS, Service
from tests.support.relay import relay

KEPT = {"keep_alive_days": "365"}
SOON = timedelta(hours=1)
"""A pass begins with these."""


async def renewable_idp(world: World) -> str:
    """A new Atlassian whose connector asks for refresh tokens."""
    idp = await world.idp_with_jira()
    await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
    return idp


async def nearly_idle(world: World, user: str, idp: str, *, left: timedelta = timedelta(days=1)) -> None:
    """As if the user had not been here for long: so much is left, as the vault and the log say."""
    end = now() + left
    (event,) = [one for one in await world.said(TokenStored, idp) if one.user == user]
    async with vault(world) as opened:
        found = await opened.token(user, idp)
        assert found is not None
        row = replace(found[0], generation=2, idle_expires_at=end)
        await opened.put_token(user, idp, row, revision=found[1])
    await world.publish(replace(event, generation=2, cause="refresh", idle_expires_at=end), by="auth")


async def has_passed(service: Service) -> None:
    """Wait until a pass is over in which something was renewed; one that breaks off goes on after a while."""

    async def passed() -> bool:
        return "kept tokens alive" in service.said()

    await until(passed, BROKEN_OFF_SECONDS + DEADLINE_SECONDS)


async def with_users(world: World, idp: str, *names: str) -> list[str]:
    """Users who logged in at this IdP."""
    return [(await logged_in(world, idp, name))[2] for name in names]


async def test_who_is_away_keeps_the_token_and_who_needs_nothing_is_left_alone(world: World, tmp_path: Path) -> None:
    idp = await renewable_idp(world)
    spoilt, away, here = await with_users(world, idp, "carol", "alice", "bob")
    await nearly_idle(world, spoilt, idp)  # nearer to its end than hers, and nothing can be done about it
    await nearly_idle(world, away, idp)
    nc = await nats.connect(world.bus.url)
    await nc.jetstream().publish(f"$KV.vault.token.{spoilt}.{idp}", b"no row")
    await nc.close()
    await at_its_end(world, here, idp)
    before = await row_of(world, away, idp)
    with auth(tmp_path, **world.settings, **KEPT) as service:
        await until_ready(service)
        await has_passed(service)
        after = await row_of(world, away, idp)
    assert after.idle_expires_at is not None
    assert after.idle_expires_at > now() + timedelta(days=80)
    assert after.refresh_token != before.refresh_token
    assert 1 == (await row_of(world, here, idp)).generation, "its access token's end is nobody's business who asks not"
    renewals = [one for one in await world.said(TokenStored, idp) if one.cause == "refresh" and one.user == away]
    assert [2, 3] == [one.generation for one in renewals]


async def test_an_idp_that_fails_is_left_alone_after_three_and_others_are_served(world: World, tmp_path: Path) -> None:
    failing, sound = await renewable_idp(world), await renewable_idp(world)
    others = await with_users(world, failing, "alice", "bob", "carol", "dave")
    (last,) = await with_users(world, sound, "alice")
    for user in others:
        await nearly_idle(world, user, failing)
    await nearly_idle(world, last, sound)
    await world.register_idp(failing, secret="not-the-secret")
    with auth(tmp_path, **world.settings, **KEPT) as service:
        await until_ready(service)
        await has_passed(service)
        assert 3 == (await row_of(world, last, sound)).generation
        counts = await told(World(world.bus, service, world.sandbox, world.directory), ADMIN)
    assert 3 == counts['scopefold_renewals_total{outcome="failed"}']
    assert [] == await world.said(TokenCleared, failing), "nothing is wrong with the tokens"


async def test_two_replicas_that_pass_at_once_renew_each_token_once_though_one_loses_the_bus(
    world: World, tmp_path: Path
) -> None:
    idp = await renewable_idp(world)
    users = await with_users(world, idp, "alice", "bob", "carol", "dave")
    for user in users:
        await nearly_idle(world, user, idp, left=SOON)
    before = await atlassian_seen(world)
    async with (
        relay(world.bus.port) as between,
        atlassian(world, refresh_leeway_seconds=0),
        atlassian(world, "faults", at="token", latency_ms=500),
    ):
        cut_off = {**world.settings, **KEPT, "nats_url": between.url}
        with auth(tmp_path / "a", **cut_off) as one, auth(tmp_path / "b", **world.settings, **KEPT) as other:

            async def begun() -> bool:
                return any([(await row_of(world, user, idp)).renewing for user in users])

            await until(begun)
            between.cut()

            async def renewed() -> bool:
                return {3} == {(await row_of(world, user, idp)).generation for user in users}

            await until(renewed)
            await has_passed(other)
            await until_ready(one)
            assert "are not kept alive now" not in other.said()
    after = await atlassian_seen(world)
    told = [after[name] - before[name] for name in ("renewals", "repeats", "breaches")]
    assert [len(users), 0, 0] == told
    logged = [(one.user, one.generation) for one in await world.said(TokenStored, idp) if one.generation == 3]
    assert sorted((user, 3) for user in users) == sorted(logged)


async def test_a_renewal_that_the_log_was_not_told_of_is_told_by_the_next_pass(world: World, tmp_path: Path) -> None:
    """The user is away, so nobody else would: the log would have the token die."""
    idp = await renewable_idp(world)
    (user,) = await with_users(world, idp, "alice")
    await nearly_idle(world, user, idp, left=SOON)
    with auth(tmp_path / "a", **world.settings, **KEPT, crash_at="renewal.stored") as dying:
        await asyncio.to_thread(dying.process.wait, DEADLINE_SECONDS)
    assert 3 == (await row_of(world, user, idp)).generation
    assert 2 == max(one.generation for one in await world.said(TokenStored, idp))
    with auth(tmp_path / "b", **world.settings, **KEPT) as service:
        await until_ready(service)
        await has_passed(service)
    assert 3 == max(one.generation for one in await world.said(TokenStored, idp))


async def test_who_is_told_to_end_stores_first_what_the_idp_still_answers(world: World, tmp_path: Path) -> None:
    idp = await renewable_idp(world)
    (user,) = await with_users(world, idp, "alice")
    await nearly_idle(world, user, idp, left=SOON)
    async with atlassian(world, "faults", at="token", latency_ms=3000):
        with auth(tmp_path / "a", **world.settings, **KEPT) as service:

            async def begun() -> bool:
                return (await row_of(world, user, idp)).renewing is not None

            await until(begun)
            service.process.terminate()
            assert 0 == await asyncio.to_thread(service.process.wait, DEADLINE_SECONDS)
            row = await row_of(world, user, idp)
            assert (3, None) == (row.generation, row.renewing)
    assert 3 == max(one.generation for one in await world.said(TokenStored, idp))


@pytest.fixture
async def unconnected(tmp_path: Path) -> AsyncIterator[InProcess]:
    """A service that has folded of a token near its end, and has no bus now."""
    async with httpx.AsyncClient() as http:
        service = InProcess(Settings(admin_token=Secret("x" * 24), data_dir=tmp_path), Projection("default"), http)
        await service.projection.open(tmp_path / "projection.db")
        dying = replace(stored("u_alice001", JIRA), idle_expires_at=now() + timedelta(days=1))
        await feed(service.projection, log_of(registered(), provisioned("jira", JIRA), dying), 3)
        yield service
        await service.projection.close()


async def test_a_pass_that_is_broken_off_goes_on_soon_and_with_the_very_token(unconnected: InProcess) -> None:
    """It went on an hour later, behind the token that it could not work with."""
    ahead = timedelta(days=365)
    assert 1 == len(await unconnected.projection.lying_idle((now() + ahead).timestamp(), 9))
    assert (BEGINNING, BROKEN_OFF_SECONDS) == await one_pass(unconnected, ahead, BEGINNING)
    await unconnected.projection.close()
    assert (BEGINNING, BROKEN_OFF_SECONDS) == await one_pass(unconnected, ahead, BEGINNING)
