"""The files of credentials, what is told of bad ones, and the services that come with them."""

import asyncio
import stat
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import get_args

import msgspec
import nats
import pytest

from scopefold.cli.bus_directory import MOST_KEYS, BusDirectory
from scopefold.cli.bus_grants import OURS, Registered, grants_of
from scopefold.cli.connected import connected
from scopefold.cli.failure import Failure
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.ports import free_port
from scopefold.cli.reach import Reach
from scopefold.contracts.commands import ConnectorAnswer, ProvisionConnector, command_subject
from scopefold.contracts.events import Event
from scopefold.contracts.examples import EVENTS
from scopefold.contracts.recorded import PUBLISHERS
from scopefold.contracts.subjects import event_filter, subject_of
from scopefold.ledger.credentials import BadCredentials, Credentials
from scopefold.ledger.log import Log, declare, status
from tests.auth.world import KEK
from tests.bus.guarded import Guarded
from tests.cli.command import until
from tests.support.process import run_to_its_end, running


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def everything_in(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_every_event_may_be_published_by_whom_the_contracts_name() -> None:
    """By each where it stands, and by nobody else: the grants and the decoder read the same table."""
    for event in EVENTS:
        subject = subject_of(event, "default")
        may = {
            name
            for name in (*OURS, "another")
            for allowed in grants_of(Registered(name=name, keys=()), "default").publishes
            if allowed.startswith("ledger.") and fnmatchcase(subject, allowed) and "*" not in subject
        }
        named = PUBLISHERS[type(event)]
        assert ({"auth", "another"} if named is None else {named}) == may, subject


def test_each_kind_of_event_has_a_filter_that_matches_it_alone() -> None:
    for event in EVENTS:
        matching = [kind for kind in get_args(Event) if fnmatchcase(subject_of(event, "t"), event_filter(kind, "t"))]
        assert [type(event)] == matching


def test_only_their_owner_may_read_the_seeds_and_making_them_again_changes_nothing(tmp_path: Path) -> None:
    bus = BusDirectory(tmp_path / "bus")
    bus.make("default", ["nats-1:6222", "nats-2:6222"])
    before = everything_in(bus.path)
    assert {f"{name}.nk" for name in OURS} | {"services.json", "server/accounts.conf", "server/routes.conf"} == set(
        before
    )
    assert 0o700 == mode(bus.path)
    assert {0o600} == {mode(bus.path / name) for name in before if name != "server/accounts.conf"}
    bus.make("default", ["nats-1:6222", "nats-2:6222"])
    assert before == everything_in(bus.path)
    served = before["server/accounts.conf"] + before["services.json"]
    assert not [name for name in OURS if before[f"{name}.nk"].strip() in served]


REFUSED: dict[str, Callable[[BusDirectory], object]] = {
    "another tenant": lambda bus: bus.make("other"),
    "one of ours twice": lambda bus: bus.add("auth"),
    "one of ours gone": lambda bus: bus.remove("auth"),
    "a wildcard": lambda bus: bus.add("*"),
    "two tokens": lambda bus: bus.add("a.b"),
    "a path": lambda bus: bus.add("../auth"),
    "a stranger's key": lambda bus: bus.new_key("nobody"),
    "a stranger's old keys": lambda bus: bus.drop_old_keys("nobody"),
    "a stranger gone": lambda bus: bus.remove("nobody"),
    "ever more keys": lambda bus: [bus.new_key("auth") for _ in range(MOST_KEYS)],
    "no directory": lambda bus: BusDirectory(bus.path / "none").services(),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_would_leave_the_bus_unsafe_or_unclear_is_refused(what: str, tmp_path: Path) -> None:
    bus = BusDirectory(tmp_path / "bus")
    bus.make("default")
    with pytest.raises(Failure):
        REFUSED[what](bus)
    assert set(OURS) == {one.name for one in bus.services()}


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("auth.nk", None, "cannot read"),
        ("auth.nk", "", "holds no seed"),
        ("auth.nk", "SUAAAA", "holds no seed"),
        ("auth.nk", "SAAHPQF3GOP4IP5SHKHCNBOHD5TMGSW4QQL6RTZAPEEYOQ2NRBIAKCCLQA", "holds no seed"),
        ("auth.nk", "\xff\xfe", "holds no seed"),
        ("auth.txt", "", "must be named after its service"),
        ("Auth.nk", "", "must be named after its service"),
        (".nk", "", "must be named after its service"),
    ],
)
def test_a_bad_file_of_credentials_is_told_as_what_it_is(tmp_path: Path, name: str, text: str | None, why: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadCredentials, match=why):
        Credentials.of(path)


@pytest.mark.parametrize("service", ["auth", "provisioner"])
def test_a_service_with_somebody_elses_credentials_does_not_start(service: str, tmp_path: Path) -> None:
    bus = BusDirectory(tmp_path / "bus")
    bus.make("default")
    settings = {"nats_credentials": str(bus.seed("analyst")), "port": str(free_port())}
    if service == "auth":
        settings |= {"kek": KEK, "data_dir": str(tmp_path)}
    done = run_to_its_end(service, **settings)
    assert (2, 1) == (done.returncode, len(done.stderr.splitlines()))
    assert f"SCOPEFOLD_NATS_CREDENTIALS: {bus.seed('analyst')} is of analyst; this is {service}" in done.stderr


async def test_commands_reach_the_provisioner_and_answers_come_back(bus: Guarded, tmp_path: Path) -> None:
    seed = str(bus.directory.seed("provisioner"))
    command = ProvisionConnector(connector="identos.jira-user", idp="nowhere")

    def ask() -> None:
        with running("provisioner", tmp_path, nats_url=bus.server.url, nats_credentials=seed):
            until("the provisioner answers a command", lambda: asyncio.run(answered()))

    async def answered() -> bool:
        async with bus.as_("commander") as commander:
            try:
                reply = await commander.nc.request(
                    command_subject("default", ProvisionConnector), msgspec.json.encode(command), timeout=5
                )
            except nats.errors.NoRespondersError:  # it does not listen yet
                return False
        problem = msgspec.json.decode(reply.data, type=ConnectorAnswer).problem
        return problem is not None and problem.type.endswith("unknown-idp")

    await asyncio.to_thread(ask)


async def test_what_an_open_bus_has_stored_is_there_after_it_has_got_accounts(tmp_path: Path) -> None:
    before = NatsServer(tmp_path / "nats")
    before.start()
    try:
        nc = await nats.connect(before.url)
        await declare(Log(nc))
        await nc.jetstream().publish("ledger.default.idp.a.idp-registered", b"?")
        created = (await status(Log(nc))).created
        await nc.close()
    finally:
        before.stop()
    bus = BusDirectory(tmp_path / "bus")
    bus.make("default")
    after = NatsServer(tmp_path / "nats", accounts=bus.accounts)
    after.start()
    try:
        async with connected(Reach(after.url, bus.seed("analyst"))) as log:
            assert (created, 1) == ((await status(log)).created, (await status(log)).last_seq)
    finally:
        after.stop()
