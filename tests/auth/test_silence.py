"""What says nothing is not taken for what is well: a connection, a bucket, the word of changes, an answer."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from scopefold.auth.core.families import Family, rotated
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.grants import Grants, Spent
from scopefold.auth.store.recent import SILENT_SECONDS, Changes, _Word
from scopefold.auth.store.records import Seen
from scopefold.auth.store.removal import erase
from scopefold.cli.nats_server import NatsServer
from scopefold.ledger.log import CALL_SECONDS, Log, LogUnavailable, status
from scopefold.ledger.read import read
from scopefold.runtime.bus import Bus
from tests.auth.world import auth, declare_all, status_becomes, until
from tests.support.process import end
from tests.support.relay import relay

MORE_THAN_FITS = 40
"""Messages of 900 kB: more than all buffers on the way take."""
SILENT_AT_MOST_SECONDS = 15.0  # what is promised, and no patience of the test
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
FAMILY = Family(
    client_id="app",
    user="u_alice",
    idp="atlassian",
    scope="openid",
    authenticated_at=NOW,
    issued_at=NOW,
    used_at=NOW,
    user_ends=0,
    idle_seconds=1000,
    absolute_expires_at=NOW + timedelta(days=1),
)


@pytest.fixture
async def nc(own_nats: NatsServer) -> AsyncIterator[Client]:
    """A connection of the test's own to a bus on which all is declared."""
    await declare_all(own_nats.url)
    client = await nats.connect(own_nats.url)
    yield client
    await client.close()


async def test_a_connection_that_is_swallowed_is_given_up_for_another(own_nats: NatsServer, tmp_path: Path) -> None:
    await declare_all(own_nats.url)
    async with relay(own_nats.port) as between:
        with auth(tmp_path / "auth", nats_url=between.url) as service:
            await status_becomes(service, 200)
            between.swallow()
            await status_becomes(service, 503, SILENT_AT_MOST_SECONDS)
            await status_becomes(service, 200, SILENT_AT_MOST_SECONDS)
            between.swallow()
            await asyncio.to_thread(end, service.process)
            assert 0 == service.process.returncode
            assert "Traceback" not in service.said()
            lines = service.said().splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert 2 == events.count("the bus is back") + events.count("connected to the bus")


async def test_a_connection_that_takes_nothing_more_is_given_up_too(own_nats: NatsServer) -> None:
    """What is still to be sent there keeps the client library from ever trying anew."""
    async with relay(own_nats.port) as between:
        bus = Bus(between.url, "auth")
        connecting = asyncio.create_task(bus.keep_connected(lambda _: None))

        async def usable() -> bool:
            try:
                await bus.log().nc.flush(1)
            except (LogUnavailable, nats.errors.Error):
                return False
            return True

        await until(usable)
        between.swallow()
        nc = bus.log().nc
        for _ in range(MORE_THAN_FITS):
            with suppress(TimeoutError, nats.errors.Error):
                async with asyncio.timeout(0.1):
                    await nc.publish("anything", b"x" * 900_000)
        await until(usable, 25)
        between.swallow()
        connecting.cancel()
        async with asyncio.timeout(15):
            await bus.close()


async def test_a_bucket_that_is_not_there_is_not_taken_for_an_empty_one(nc: Client) -> None:
    found = await buckets.connect(nc.jetstream())
    assert await found.vault.get("token.u_alice.atlassian", Seen) is None
    for name in (declared.VAULT, declared.FLOWS):
        await nc.jetstream().delete_stream(f"KV_{name}")
    assert await found.flows.get("code.x", Seen) is None  # in memory: it is gone with a server, and made anew
    with pytest.raises(LogUnavailable):
        await found.vault.get("token.u_alice.atlassian", Seen)
    with pytest.raises(LogUnavailable):
        await found.vault.next("token.*.atlassian", after=0)
    with pytest.raises(LogUnavailable):
        await found.vault.keys()
    with pytest.raises(LogUnavailable):
        await erase(found.vault, "key.u_alice")


async def test_H_a_change_is_heard_of_though_the_word_of_changes_is_lost(nc: Client) -> None:
    """A consumer that lived on a server of the bus that is gone, with the connection to another one unharmed."""
    js = nc.jetstream()
    written, read = (await buckets.connect(js)).grants, (await buckets.connect(js)).grants
    changes = Changes(js)
    late = changes.recent(declared.GRANTS, read)
    await changes.open()
    for round_ in range(3):
        key = f"ended.token.{round_}"
        assert await late.get(key, Spent) is None
        await until(lambda: asyncio.sleep(0, changes.come))
        assert await late.get(key, Spent) is None  # from memory by now
        (consumer,) = await js.consumers_info(f"KV_{declared.GRANTS}")
        await js.delete_consumer(f"KV_{declared.GRANTS}", consumer.name)
        await written.create(key, Spent())

        async def heard(key: str = key) -> bool:
            return await late.get(key, Spent) is not None

        await until(heard, 6)
        await until(lambda: asyncio.sleep(0, changes.come))
    await changes.close()


async def test_what_is_closed_is_not_opened_again_by_who_has_it_still(nc: Client) -> None:
    """As a request that was under way when a bucket was made anew: its subscriptions would stay for ever."""
    js = nc.jetstream()
    changes = Changes(js)
    late = changes.recent(declared.GRANTS, (await buckets.connect(js)).grants)
    opening = asyncio.create_task(changes.open())
    await asyncio.sleep(0)
    await changes.close()
    await opening
    for _ in range(2):
        assert await late.get("ended.token.x", Spent) is None
        assert not changes.come
    assert [] == changes._words
    assert changes._opening is None
    assert await late.get("ended.token.x", Spent) is None


@pytest.mark.parametrize(
    ("told", "comes"),
    [
        pytest.param([1, 2], True, id="each in its turn"),
        pytest.param([1, 3], False, id="one is missing"),
        pytest.param([2], False, id="the first is missing"),
        pytest.param([1, "1"], True, id="and a heartbeat that knows of no more"),
        pytest.param([1, "2"], False, id="and a heartbeat that knows of one more"),
        pytest.param([1, "2", 2], False, id="for good"),
    ],
)
async def test_H_a_change_that_is_missing_is_missed(nc: Client, told: list[int | str], comes: bool) -> None:
    changes = Changes(nc.jetstream())
    word = _Word(declared.GRANTS, changes.recent(declared.GRANTS, (await buckets.connect(nc.jetstream())).grants))
    for one in told:
        beat = {"Status": "100", "Nats-Last-Consumer": str(one)} if isinstance(one, str) else None
        await word._heard(Msg(nc, "$KV.grants.x", f"$JS.ACK.KV_grants.c.1.7.{one}.0.0", b"", beat))
    assert comes is word.comes(time.monotonic())
    assert not word.comes(time.monotonic() + SILENT_SECONDS)


async def test_a_rotation_whose_answer_is_lost_is_no_second_use(own_nats: NatsServer, nc: Client) -> None:
    async with relay(own_nats.port) as between:
        swallowed = await nats.connect(between.url, ping_interval=1, max_outstanding_pings=1, reconnect_time_wait=0.1)
        grants = Grants((await buckets.connect(swallowed.jetstream())).grants)
        await grants.keep("family", FAMILY, revision=0, now=NOW)
        found = await grants.family("family")
        assert found is not None
        first, second = rotated(found[0], "first", NOW), rotated(found[0], "second", NOW)
        between.swallow_answers()
        keeping = asyncio.create_task(grants.keep("family", first, revision=found[1], now=NOW))

        async def stored() -> bool:
            there = await Grants((await buckets.connect(nc.jetstream())).grants).family("family")
            return there is not None and there[0] == first

        await until(stored)
        between.cut()
        await keeping
        with pytest.raises(Taken):
            await grants.keep("family", second, revision=found[1], now=NOW)
        kept = await grants.family("family")
        assert kept is not None
        assert first == kept[0]
        await swallowed.close()


async def test_nothing_is_served_while_a_bucket_is_missing(own_nats: NatsServer, nc: Client, tmp_path: Path) -> None:
    with auth(tmp_path / "auth", nats_url=own_nats.url) as service:
        await status_becomes(service, 200)
        for name in (declared.SESSIONS, declared.VAULT):
            await nc.jetstream().delete_stream(f"KV_{name}")
            assert name in (await status_becomes(service, 503, SILENT_AT_MOST_SECONDS)).json()["detail"]
            await declare_all(own_nats.url)
            await status_becomes(service, 200)

        async def with_its_keys() -> bool:
            async with service.client() as client:
                served = {key["kid"] for key in (await client.get("/oauth2/jwks")).json()["keys"]}
                return served == {key["kid"] for key in (await client.get("/v1/keys")).json()["items"]}

        await until(with_its_keys)
        said = [json.loads(line)["event"] for line in service.said().splitlines()]
        assert 2 == said.count("buckets are missing")
        await until(lambda: asyncio.sleep(0, service.said().count("buckets were made anew") == 2))


async def test_a_bus_that_cannot_tell_of_its_buckets_has_not_lost_them(tmp_path: Path) -> None:
    """As servers that lost their majority; here, in an account that may not ask."""
    accounts = tmp_path / "accounts.conf"
    accounts.write_text("accounts { none { users [ { user: a, password: b } ] } }")
    server = NatsServer(tmp_path / "nats", accounts=accounts)
    server.start()
    try:
        client = await nats.connect(server.url.replace("://", "://a:b@"))
        with pytest.raises(LogUnavailable):
            await buckets.made_at(client.jetstream())
        await client.close()
    finally:
        server.stop()


async def whole(log: Log) -> int:
    """Read all of the log; how much there was."""
    return sum([len(messages) async for messages in read(log)])


async def test_what_was_asked_of_a_server_that_died_is_asked_of_the_next_at_once(own_nats: NatsServer) -> None:
    bus = Bus(own_nats.url, "auth")
    connecting = asyncio.create_task(bus.keep_connected(lambda _: None))
    await declare_all(own_nats.url)

    async def reached() -> bool:
        with suppress(LogUnavailable):
            return await whole(bus.log()) == 0
        return False

    await until(reached)
    assert own_nats.process is not None
    own_nats.process.send_signal(signal.SIGSTOP)
    asked = [asyncio.create_task(status(bus.log())), asyncio.create_task(whole(bus.log()))]
    await asyncio.sleep(0)
    own_nats.kill()
    own_nats.start()
    async with asyncio.timeout(CALL_SECONDS - 1):
        for one in asked:
            with pytest.raises(LogUnavailable):
                await one
    connecting.cancel()
    await bus.close()
