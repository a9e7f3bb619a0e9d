"""What somebody with a key of their own, or with none, tries at the bus."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil
import pytest

from scopefold.cli.connected import connected
from scopefold.contracts.codec import encode
from scopefold.contracts.events import ConnectorProvisioned, TokenInsufficient, tag_of
from scopefold.contracts.examples import EVENTS
from scopefold.contracts.publish import NotAllowed, publish
from scopefold.contracts.recorded import Quarantined, examine
from scopefold.contracts.subjects import subject_of
from scopefold.ledger.log import status
from scopefold.ledger.read import read
from tests.bus.guarded import COMMANDER, EVERYTHING, GATEWAY, READER, Guarded, connection, connects

NOW: Final = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
SAMPLE: Final = {type(event): event for event in EVENTS}
REPORT: Final = SAMPLE[TokenInsufficient]
PROVISIONED: Final = SAMPLE[ConnectorProvisioned]
APART: Final = ("provisioner", "analyst", GATEWAY, READER, COMMANDER, EVERYTHING)
DEADLINE_SECONDS: Final = 30.0


async def test_J01_nobody_comes_in_without_a_key_that_the_bus_knows(bus: Guarded, tmp_path: Path) -> None:
    stranger = Guarded(tmp_path).directory.seed("auth")
    assert await connects(bus.server.url, nkeys_seed=str(bus.directory.seed("auth")))
    assert not await connects(bus.server.url)
    assert not await connects(bus.server.url, user="auth", password="auth")
    assert not await connects(bus.server.url, token=bus.directory.seed("auth").read_text().strip())
    assert not await connects(bus.server.url, nkeys_seed=str(stranger))


def test_J01_nobody_is_taken_for_somebody(bus: Guarded) -> None:
    told = (bus.server.directory / "nats.conf").read_text() + bus.directory.accounts.read_text()
    assert "no_auth_user" not in told
    assert "default_permissions" not in told
    assert told.count("nkey:") == told.count("permissions: { publish: { allow: [")
    assert "allow: []" not in told, "to the server an empty list allows everything"


async def test_F18_a_rogue_service_provisions_no_connector(bus: Guarded) -> None:
    """It says that it is the provisioner; its key says who it is."""
    async with bus.as_(GATEWAY) as rogue:
        with pytest.raises(NotAllowed):
            await publish(
                rogue.nc, PROVISIONED, service="provisioner", now=NOW, event_id="rogue-event-1", timeout_seconds=3
            )


async def test_J06_what_stands_where_another_event_belongs_is_set_aside(bus: Guarded) -> None:
    """The subject is what its key allows; what is in the message is what the log holds against it."""
    headers = {"Nats-Msg-Id": "rogue-event-2", "ce-id": "rogue-event-2", "ce-type": tag_of(ConnectorProvisioned)}
    headers |= {"ce-source": "urn:scopefold:service:provisioner"}
    async with bus.as_(GATEWAY) as rogue:
        reply = await rogue.nc.request(
            subject_of(REPORT, "default"), encode(PROVISIONED), timeout=5, headers=headers, old_style=False
        )
    seq = json.loads(reply.data)["seq"]
    async with connected(bus.reach("analyst")) as log:
        (message,) = [one async for page in read(log, after=seq - 1, until=seq) for one in page]
    found = examine(message)
    assert isinstance(found, Quarantined)
    assert found.reason.startswith("subject: this event belongs on")


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("Nats-Rollup", "sub", 10111),
        ("Nats-Rollup", "all", 10111),
        ("Nats-TTL", "1s", 10166),
        ("Nats-Incr", "1", 10168),
        ("Nats-Schedule", "@at 2027-01-01T00:00:00Z", 10188),
    ],
)
@pytest.mark.parametrize("name", ["auth", "provisioner", GATEWAY])
async def test_J08_no_header_takes_anything_out_of_the_log(
    bus: Guarded, name: str, header: str, value: str, code: int
) -> None:
    event = PROVISIONED if name == "provisioner" else REPORT
    async with bus.as_(name) as person:
        reply = await person.nc.request(subject_of(event, "default"), b"?", timeout=5, headers={header: value})
    assert code == json.loads(reply.data)["error"]["err_code"]


async def _ends(bus: Guarded) -> dict[str, int]:
    async with connected(bus.reach("operator")) as log:
        found = {}
        for info in await log.js.streams_info():
            assert info.config.name is not None
            found[info.config.name] = info.state.last_seq
        return found


@pytest.mark.parametrize("name", APART)
async def test_J04_an_answer_cannot_be_sent_where_its_asker_may_not_write(bus: Guarded, name: str) -> None:
    """The server sends an answer wherever it was asked to, so it must not know any other's subjects there."""
    asked = {
        "provisioner": ("$JS.API.STREAM.INFO.LEDGER", "$JS.API.DIRECT.GET.LEDGER", subject_of(PROVISIONED, "default")),
        "analyst": ("$JS.API.STREAM.INFO.LEDGER", "$JS.API.DIRECT.GET.LEDGER"),
        READER: ("$JS.API.STREAM.INFO.LEDGER", "$JS.API.DIRECT.GET.LEDGER", subject_of(REPORT, "default")),
        EVERYTHING: ("$JS.API.STREAM.INFO.LEDGER", "$JS.API.DIRECT.GET.LEDGER", subject_of(REPORT, "default")),
    }.get(name, (subject_of(REPORT, "default"),))
    forged = ("$KV.vault.kek", "$KV.sessions.a", subject_of(SAMPLE[ConnectorProvisioned], "default"))
    async with bus.as_("auth") as auth:  # there must be something to be read
        await auth.nc.request(subject_of(REPORT, "default"), b"?", timeout=5)
    before = await _ends(bus)
    async with bus.as_(name) as person:
        for subject in asked:
            for aim in forged:
                payload = b'{"seq":1}' if "DIRECT" in subject else b""
                await person.nc.publish(subject, payload, reply=aim)
        await person.may_publish([])
    own = sum(len(forged) for subject in asked if subject.startswith("ledger."))
    if name == "provisioner":
        own += len([subject for subject in asked if not subject.startswith("ledger.")])
    after = await _ends(bus)
    assert before | {"LEDGER": after["LEDGER"]} == after
    assert after["LEDGER"] - before["LEDGER"] <= own


def test_J12_the_bus_of_one_machine_listens_at_one_place(bus: Guarded) -> None:
    assert bus.server.process is not None
    listening = psutil.Process(bus.server.process.pid).net_connections("inet")
    assert [("127.0.0.1", bus.server.port)] == [
        (one.laddr.ip, one.laddr.port) for one in listening if one.status == psutil.CONN_LISTEN
    ]


def _read_again(bus: Guarded) -> None:
    assert bus.server.process is not None
    os.kill(bus.server.process.pid, signal.SIGHUP)


async def _soon(holds: Callable[[], Awaitable[bool]]) -> bool:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if await holds():
            return True
        await asyncio.sleep(0.02)
    return False


async def test_J10_a_service_that_is_removed_is_thrown_out_and_the_others_stay(own_bus: Guarded) -> None:
    seed = own_bus.directory.seed(GATEWAY).rename(own_bus.directory.path.parent / f"{GATEWAY}.nk")
    async with connection(own_bus.server.url, seed, []) as nc, own_bus.as_("auth") as auth:
        own_bus.directory.remove(GATEWAY)
        _read_again(own_bus)

        async def is_out() -> bool:
            return nc.is_closed

        assert await _soon(is_out)
        assert auth.nc.is_connected
    assert not await connects(own_bus.server.url, nkeys_seed=str(seed))


async def test_J10_a_key_is_replaced_without_a_gap_and_the_old_one_ends_when_it_is_dropped(own_bus: Guarded) -> None:
    old = own_bus.directory.path.parent / "provisioner.nk"
    old.write_bytes(own_bus.directory.seed("provisioner").read_bytes())
    own_bus.directory.new_key("provisioner")
    _read_again(own_bus)

    async def is_in() -> bool:
        return await connects(own_bus.server.url, nkeys_seed=str(own_bus.directory.seed("provisioner")))

    assert await _soon(is_in)
    async with connection(own_bus.server.url, old, []) as nc:
        assert 1 == own_bus.directory.drop_old_keys("provisioner")
        _read_again(own_bus)

        async def is_out() -> bool:
            return nc.is_closed

        assert await _soon(is_out)
    assert await is_in()
    assert not await connects(own_bus.server.url, nkeys_seed=str(old))


async def test_a_service_that_is_let_in_while_the_bus_runs_can_report_at_once(own_bus: Guarded) -> None:
    own_bus.directory.add("newcomer")
    _read_again(own_bus)

    async def is_in() -> bool:
        return await connects(own_bus.server.url, nkeys_seed=str(own_bus.directory.seed("newcomer")))

    assert await _soon(is_in)
    async with own_bus.as_("newcomer") as newcomer:
        done = await publish(newcomer.nc, REPORT, service="newcomer", now=NOW)
    async with connected(own_bus.reach("analyst")) as log:
        assert done.seq == (await status(log)).last_seq
