"""What the bus refuses is seen: in auth's metrics, from the server's own log, and in the log of whom it refuses."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from scopefold.auth.core.bus_log import KINDS
from scopefold.cli import nats_server
from scopefold.cli.nats_server import NatsDidNotStart, NatsServer
from tests.auth.world import auth
from tests.bus.guarded import GATEWAY, Guarded, connects
from tests.cli.command import until
from tests.support.process import ADMIN, Service, running

METRICS: Final = "/v1/metrics"


def told(service: Service) -> dict[str, int]:
    """The metrics about the bus, by name and label."""
    answer = httpx.get(service.url + METRICS, headers={"authorization": f"Bearer {ADMIN}"}, timeout=10)
    assert 200 == answer.status_code
    lines = (line.rpartition(" ") for line in answer.text.splitlines() if line.startswith("scopefold_bus_"))
    return {name.removeprefix("scopefold_"): int(value) for name, _, value in lines}


def counted(service: Service) -> dict[str, int]:
    return {kind: told(service)[f'bus_refused_total{{kind="{kind}"}}'] for kind in KINDS}


@pytest.fixture
def watching(own_bus: Guarded, tmp_path: Path) -> Iterator[Service]:
    """A replica that has begun to read the bus's log."""
    settings = {"nats_url": own_bus.server.url, "nats_credentials": str(own_bus.directory.seed("auth"))}
    with auth(tmp_path / "auth", bus_log=str(own_bus.server.log), **settings) as service:
        until("the log of the bus is read", lambda: told(service)["bus_log_read"] == 1)
        yield service


async def test_J01_J02_J04_what_the_bus_refuses_is_counted_by_kind(own_bus: Guarded, watching: Service) -> None:
    """A service publishes and listens where it may not, and strangers come; nothing they chose is a label."""
    assert dict.fromkeys(KINDS, 0) == counted(watching)
    async with own_bus.as_(GATEWAY) as rogue:
        assert set() == await rogue.may_publish(["ledger.default.idp.a.connector-provisioned"])
        assert set() == await rogue.may_subscribe(["$KV.vault.>", "_INBOX_auth.>"])
    for stranger in ({}, {"user": "auth", "password": "Publish Violation"}, {"token": "a-token-of-nobody"}):
        assert not await connects(own_bus.server.url, **stranger)
    # Each way of asking also tries what nobody may, to know when all is answered.
    expected = {"publish": 2, "subscription": 3, "connection": 3, "payload": 0}
    await asyncio.to_thread(until, "all of it is counted", lambda: counted(watching) == expected)
    assert {f'bus_refused_total{{kind="{kind}"}}' for kind in KINDS} | {"bus_log_read"} == set(told(watching))


async def test_what_is_refused_is_counted_across_the_rotations_of_the_server(
    own_bus: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_server, "LOG_LIMIT", "4KB")
    own_bus.server.stop()
    own_bus.server.start()
    settings = {"nats_url": own_bus.server.url, "bus_log": str(own_bus.server.log)}
    with auth(tmp_path / "auth", nats_credentials=str(own_bus.directory.seed("auth")), **settings) as service:
        await asyncio.to_thread(until, "the log is read", lambda: told(service)["bus_log_read"] == 1)
        async with own_bus.as_(GATEWAY) as rogue:
            for turn in range(1, 6):
                await rogue.may_publish(f"nobody.{number}" for number in range(14))
                await asyncio.to_thread(
                    until,
                    "all is counted",
                    lambda: counted(service)["publish"] == 15 * turn,  # noqa: B023
                )
        assert 1 == told(service)["bus_log_read"]
    assert list(own_bus.server.directory.glob("nats.log.*")), "it was never rotated"


def test_what_keeps_the_bus_from_starting_stands_in_its_log(tmp_path: Path) -> None:
    (tmp_path / "accounts.conf").write_text("accounts: nonsense {")
    server = NatsServer(tmp_path / "nats", accounts=tmp_path / "accounts.conf")
    with pytest.raises(NatsDidNotStart, match=re.escape(str(server.log))):
        server.start()
    assert "accounts.conf" in server.log.read_text()


def test_where_no_log_is_told_nothing_is_said_of_refusals(own_bus: Guarded, tmp_path: Path) -> None:
    with auth(tmp_path / "auth", nats_url=own_bus.server.url) as service:
        assert {} == told(service)


def test_a_log_that_is_not_there_is_told_once_and_is_no_crash(own_bus: Guarded, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere" / "nats.log"
    with auth(tmp_path / "auth", nats_url=own_bus.server.url, bus_log=str(missing)) as service:
        until("it is told", lambda: "cannot count what the bus refuses" in service.said())
        assert 0 == told(service)["bus_log_read"]
        missing.parent.mkdir()
        missing.touch()
        until("it is read once it is there", lambda: told(service)["bus_log_read"] == 1)
        assert 1 == service.said().count("cannot count what the bus refuses")


@pytest.mark.parametrize("name", ["auth", "provisioner"])
def test_J04_a_service_of_ours_that_is_refused_something_says_so(own_bus: Guarded, name: str, tmp_path: Path) -> None:
    """It serves another tenant than the bus, and is not let listen there."""
    settings = {
        "nats_url": own_bus.server.url,
        "nats_credentials": str(own_bus.directory.seed(name)),
        "tenant": "other",
    }
    with auth(tmp_path / "auth", **settings) if name == "auth" else running(name, tmp_path, **settings) as service:
        until("it says so", lambda: "permissions violation for subscription to" in service.said().lower())
        (line, *_) = [one for one in service.said().splitlines() if "ermissions" in one]
        assert '"event": "the bus reports an error"' in line
        assert '"level": "warning"' in line
