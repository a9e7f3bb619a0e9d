"""Another service reports tokens that lack a scope: once, acknowledged, with errors that say what to do."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from msgspec.structs import replace

from scopefold.cli.connected import connected
from scopefold.contracts.events import ConnectorProvisioned, TokenInsufficient
from scopefold.contracts.examples import EVENTS
from scopefold.contracts.publish import BusUnavailable, NotAllowed, Refused, event_id_of, publish
from scopefold.contracts.recorded import Quarantined, examine
from scopefold.ledger.log import STREAM, status
from scopefold.ledger.read import read
from tests.bus.guarded import GATEWAY, Guarded
from tests.house.source import ROOT

NOW: Final = datetime(2026, 1, 15, 9, 30, 20, tzinfo=UTC)
SAMPLE: Final = {type(event): event for event in EVENTS}
EXAMPLE: Final = ROOT / "examples/publisher"


def a_report(**changed: Any) -> TokenInsufficient:
    event = SAMPLE[TokenInsufficient]
    assert isinstance(event, TokenInsufficient)
    return replace(event, **changed)


async def stored(bus: Guarded, after: int) -> list[tuple[str, str, object]]:
    """What the log has after a sequence: id, publisher, event."""
    async with connected(bus.reach("analyst")) as log:
        found = [examine(one) for page in [page async for page in read(log, after=after)] for one in page]
    assert not [one for one in found if isinstance(one, Quarantined)]
    return [(one.event_id, one.publisher, one.event) for one in found if not isinstance(one, Quarantined)]


async def end(bus: Guarded) -> int:
    async with connected(bus.reach("analyst")) as log:
        return (await status(log)).last_seq


async def test_a_report_is_in_the_log_once_a_minute_however_often_it_is_sent(own_bus: Guarded) -> None:
    event = a_report(missing=("b", "a"))
    same = a_report(missing=("a", "b"), generation=7, resource_type="urn:connector:identos:confluence-user")
    async with own_bus.as_(GATEWAY) as gateway:
        first = await publish(gateway.nc, event, service=GATEWAY, now=NOW)
        again = await publish(gateway.nc, same, service=GATEWAY, now=NOW + timedelta(seconds=39))
        later = await publish(gateway.nc, event, service=GATEWAY, now=NOW + timedelta(seconds=40))
        named = await publish(gateway.nc, event, service=GATEWAY, now=NOW, event_id="an-id-of-its-own")
    assert [(1, False), (1, True), (2, False), (3, False)] == [
        (one.seq, one.duplicate) for one in (first, again, later, named)
    ]
    assert [(one.event_id, GATEWAY, event) for one in (first, later, named)] == await stored(own_bus, 0)


@pytest.mark.parametrize(
    ("changed", "tenant", "seconds", "same"),
    [
        ({}, "default", 0, True),
        ({}, "default", 39, True),
        ({}, "default", 40, False),
        ({}, "other", 0, False),
        ({"user": "u_another00"}, "default", 0, False),
        ({"idp": "google"}, "default", 0, False),
        ({"missing": ("another",)}, "default", 0, False),
        ({"generation": 9}, "default", 0, True),
    ],
)
def test_the_id_follows_from_user_idp_scopes_and_minute(
    changed: dict[str, Any], tenant: str, seconds: int, same: bool
) -> None:
    before = event_id_of(a_report(), "default", NOW)
    assert same is (before == event_id_of(a_report(**changed), tenant, NOW + timedelta(seconds=seconds)))


async def test_what_this_service_may_not_publish_is_told_without_a_try(bus: Guarded) -> None:
    before = await end(bus)
    async with bus.as_(GATEWAY) as gateway:
        with pytest.raises(
            NotAllowed, match=r"only provisioner may publish connector-provisioned\.v1; this is gateway"
        ):
            await publish(gateway.nc, SAMPLE[ConnectorProvisioned], service=GATEWAY, now=NOW, event_id="an-event-id")
        assert [] == gateway.refusals
    assert before == await end(bus)


async def test_what_the_bus_does_not_let_this_service_publish_is_told_as_that(bus: Guarded) -> None:
    """The server's word comes beside the request, which only gets no answer."""
    async with bus.as_("analyst") as analyst:
        with pytest.raises(NotAllowed, match="the bus does not let this service publish"):
            await publish(analyst.nc, a_report(), service="analyst", now=NOW, timeout_seconds=3)


async def test_other_events_need_an_id_of_their_own(bus: Guarded) -> None:
    async with bus.as_("provisioner") as provisioner:
        with pytest.raises(ValueError, match=r"connector-provisioned\.v1 needs an event_id of your own"):
            await publish(provisioner.nc, SAMPLE[ConnectorProvisioned], service="provisioner", now=NOW)


async def test_a_bus_that_is_gone_is_told_with_the_id_to_try_again_with(own_bus: Guarded) -> None:
    async with own_bus.as_(GATEWAY) as gateway:
        own_bus.server.kill()
        with pytest.raises(BusUnavailable) as gone:
            await publish(gateway.nc, a_report(), service=GATEWAY, now=NOW, timeout_seconds=0.2)
    own_bus.server.start()
    async with own_bus.as_(GATEWAY) as gateway:
        done = await publish(gateway.nc, a_report(), service=GATEWAY, now=NOW, event_id=gone.value.event_id)
    assert gone.value.event_id == done.event_id == event_id_of(a_report(), "default", NOW)


async def test_a_full_log_is_told_with_the_servers_code(own_bus: Guarded) -> None:
    async with connected(own_bus.reach("operator")) as log:
        config = (await log.js.stream_info(STREAM)).config
        await log.js.update_stream(config.evolve(max_bytes=1))
    async with own_bus.as_(GATEWAY) as gateway:
        with pytest.raises(Refused, match="maximum bytes exceeded") as full:
            await publish(gateway.nc, a_report(), service=GATEWAY, now=NOW)
    assert 10077 == full.value.code


async def test_the_example_reports_what_the_api_refused_for_want_of_a_scope(own_bus: Guarded) -> None:
    own_bus.directory.add("jira-gateway")
    own_bus.server.stop()
    own_bus.server.start()
    line = [
        sys.executable,
        str(EXAMPLE / "gateway.py"),
        own_bus.server.url,
        str(own_bus.directory.seed("jira-gateway")),
    ]
    lines = (EXAMPLE / "refused.jsonl").read_bytes()

    def run() -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(line, input=lines, capture_output=True, timeout=30, check=False)

    done = await asyncio.to_thread(run)
    user, _, other = [json.loads(one)["user"] for one in lines.splitlines()]
    assert (0, b"") == (done.returncode, done.stderr)
    first, second, third = done.stdout.decode().splitlines()
    assert f"{user}: reported, event 1 of the log" == first
    # The two calls may have fallen into two minutes.
    assert second in (f"{user}: was reported already, event 1 of the log", f"{user}: reported, event 2 of the log")
    assert f"{other}: 404 is not about scopes" == third
    assert {"jira-gateway"} == {publisher for _, publisher, _ in await stored(own_bus, 0)}
