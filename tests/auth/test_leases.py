"""What one replica is at is not done by another too, whatever their clocks say and however slow the bus is."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from scopefold.auth.core.leases import SKEW, is_over
from scopefold.auth.core.stored_token import STALLED_SECONDS, Stalled, stand_in
from scopefold.auth.core.waiting import MOST_WAIT_SECONDS
from scopefold.auth.settings import Settings
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.recent import Changes
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.renewal import _NotBrought, _patiently
from scopefold.auth.web.service import AsOfLate, Connected, Service, now
from scopefold.auth.web.turns import Watched
from scopefold.auth.web.webhook import STATE, TURN, Sending, one_pass
from scopefold.auth.web.webhook_sender import Sender
from scopefold.consent.idp_scopes import Idp, Registration
from scopefold.contracts.events import EndpointOverrides
from scopefold.contracts.recorded import Cause
from scopefold.ledger.log import Log
from scopefold.runtime.secret import Secret
from tests.auth.holders import some_keys
from tests.auth.test_webhook import SECRET
from tests.support.logs import registered

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.mark.parametrize("apart", [timedelta(0), SKEW, -SKEW, timedelta(days=400)])
def test_who_is_at_it_is_left_at_it_however_far_its_clock_is_off(apart: timedelta) -> None:
    until = NOW + apart + LEASE
    for passed in range(30):
        assert not is_over(until, LEASE, NOW + timedelta(seconds=passed), timedelta(seconds=passed))
    assert is_over(until, LEASE, NOW + LEASE, LEASE), "and who died keeps nobody away for ever"


def test_what_nobody_saw_of_a_lease_counts_for_nothing() -> None:
    """The bus was away: who holds the lease could not store what it has."""
    watched = Watched(gap_seconds=3)
    assert [0, 1, 4, 4, 6] == [watched.look("alice", "lease", at) for at in (100.0, 101.0, 104.0, 164.0, 166.0)]
    assert [0, 1] == [watched.look("alice", "another", at) for at in (166.5, 167.5)]
    assert 0 == watched.look("bob", "lease", 167.5)
    watched.forget("alice")
    assert 0 == watched.look("alice", "another", 168.0)


@pytest.mark.parametrize(("ahead", "rests"), [(60, True), (24 * 3600, False)], ids=["right", "wrong-clock"])
def test_a_rest_that_only_a_wrong_clock_can_have_written_is_none(ahead: int, rests: bool) -> None:
    """It kept every replica from the token until that time had come."""
    theirs = NOW + timedelta(seconds=ahead)
    row = replace(
        stand_in(""),
        rests_until=theirs + timedelta(seconds=MOST_WAIT_SECONDS),
        stalled=(Stalled("", theirs + timedelta(seconds=STALLED_SECONDS)),),
    )
    assert (rests, rests) == (row.rests(NOW) > 0, row.wants_user(NOW, "") > 0)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Enough of one to ask an IdP."""
    async with httpx.AsyncClient() as http:
        settings = Settings(admin_token=Secret("x" * 24), data_dir=tmp_path)
        made = Service(settings, Projection("default"), http)
        yield made
        await made.upstream.aclose()


async def test_a_turn_is_not_taken_from_who_has_it_because_clocks_are_apart(log: Log, service: Service) -> None:
    """Two replicas half a minute apart sent each message again and again, and none was ever laid aside."""
    await declared.declare(log.js)
    found = await buckets.connect(log.js)
    vault = Vault(found.vault, "default", bytes(32))
    late = AsOfLate(Changes(log.js), vault, Grants(found.grants))
    service.connected = Connected(log, found, vault, some_keys(), made={}, recent=late)
    service.waiting_for = None
    sender = Sender(service.upstream, "http://127.0.0.1:1/", SECRET, attempts=1)
    for apart in (timedelta(seconds=-50), timedelta(seconds=50), timedelta(days=1)):
        theirs = Sending(told=1, through=2, holder="other", until=now() + apart + TURN)
        await found.webhook.put(STATE, theirs)
        assert not await one_pass(service, sender)
        there = await found.webhook.get(STATE, Sending)
        assert there is not None
        assert theirs == there[0]


@pytest.mark.parametrize(("left_seconds", "asked"), [(4.0, True), (0.0, False), (-9.0, False)])
async def test_F16_no_renewal_is_asked_for_once_the_lease_was_taken_too_long_ago(
    service: Service, left_seconds: float, asked: bool
) -> None:
    """As where the bus took some seconds for each of the answers in between: others may be at it now."""
    came = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.set()
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error":"invalid_grant"}'
        writer.write(
            b"HTTP/1.1 400 x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    event = replace(registered(), endpoints=EndpointOverrides(authorize=base, token=base, identity=base))
    idp = Idp("atlassian", Registration(event, Cause(1, NOW, "event-1")))
    ends = asyncio.get_running_loop().time() + left_seconds
    with pytest.raises(_NotBrought) as nothing:
        await _patiently(service, idp, "secret", "refresh-token", ("read:me",), ends=ends)
    assert asked is came.is_set()
    assert not nothing.value.unsure
    server.close()
