"""Tokens that would die unused are renewed where the operator wants it, and no IdP that fails keeps others waiting."""

from datetime import timedelta
from pathlib import Path

import nats
from msgspec.structs import replace

from scopefold.auth.web.service import now
from scopefold.contracts.events import TokenCleared, TokenStored
from tests.auth.gateways import at_its_end, logged_in
from tests.auth.providers import row_of, vault
from tests.auth.test_metrics import told
from tests.auth.world import World, auth, until, until_ready
from tests.support.logs import JIRA, provisioned
from tests.support.process import ADMIN, Service

KEPT = {"keep_alive_days": "365"}


async def renewable_idp(world: World) -> str:
    """A new Atlassian whose connector asks for refresh tokens."""
    idp = await world.idp_with_jira()
    await world.publish(provisioned(f"jira-{idp}", JIRA, idp), by="provisioner")
    return idp


async def nearly_idle(world: World, user: str, idp: str) -> None:
    """As if the user had not been here for long: a day is left, as the vault and the log say."""
    end = now() + timedelta(days=1)
    (event,) = [one for one in await world.said(TokenStored, idp) if one.user == user]
    async with vault(world) as opened:
        found = await opened.token(user, idp)
        assert found is not None
        row = replace(found[0], generation=2, idle_expires_at=end)
        await opened.put_token(user, idp, row, revision=found[1])
    await world.publish(replace(event, generation=2, cause="refresh", idle_expires_at=end), by="auth")


async def passed(service: Service) -> bool:
    """Is a pass over, in which something was renewed?"""
    return "kept tokens alive" in service.said()


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
        await until(lambda: passed(service))
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
        await until(lambda: passed(service))
        assert 3 == (await row_of(world, last, sound)).generation
        counts = await told(World(world.bus, service, world.sandbox, world.directory), ADMIN)
    assert 3 == counts['scopefold_renewals_total{outcome="failed"}']
    assert [] == await world.said(TokenCleared, failing), "nothing is wrong with the tokens"
