"""`scopefold bus init` sets a bus up from nothing: the credentials, then, once it runs, the log and the buckets."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.connected import connected
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.reach import Reach
from tests.bus.test_credentials import everything_in
from tests.cli.command import scopefold, told


@pytest.fixture
def bus(tmp_path: Path) -> BusDirectory:
    return BusDirectory(tmp_path / "bus")


@pytest.fixture
def started(bus: BusDirectory, tmp_path: Path) -> Iterator[NatsServer]:
    """The server, with what the command made for it."""
    assert (0, 0) == told(scopefold("bus", "init", "--credentials", str(bus.path)))
    server = NatsServer(tmp_path / "nats", accounts=bus.accounts)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_without_an_address_it_makes_the_credentials_and_says_what_comes_next(
    bus: BusDirectory, tmp_path: Path
) -> None:
    """Also where a `scopefold up` runs nearby: that is not the bus that these are for."""
    line = ("bus", "init", "--credentials", str(bus.path), "--route", "nats-1:6222", "--route", "nats-2:6222")
    first = scopefold(*line, cwd=tmp_path, env={"SCOPEFOLD_TENANT": "acme"})
    made = everything_in(bus.path)
    again = scopefold(*line, "--tenant", "acme", cwd=tmp_path)
    assert [(0, 0), (0, 0)] == [told(first), told(again)]
    assert first.stdout == again.stdout
    assert str(bus.accounts) in first.stdout
    assert f"Next: start nats-server, then: scopefold bus init --credentials {bus.path} --nats-url" in first.stdout
    assert made == everything_in(bus.path)
    assert {"server/routes.conf", "server/accounts.conf", "operator.nk", "auth.nk"} < set(made)
    assert (1, 1) == told(scopefold(*line, cwd=tmp_path)), "it serves another tenant"


@pytest.mark.parametrize("told_by", ["a flag", "the environment"])
def test_once_the_bus_runs_the_same_line_declares_what_it_keeps(
    bus: BusDirectory, started: NatsServer, told_by: str
) -> None:
    made = everything_in(bus.path)
    flag, env = (("--nats-url", started.url), {}) if told_by == "a flag" else ((), {"SCOPEFOLD_NATS_URL": started.url})
    first, again = (scopefold("bus", "init", "--credentials", str(bus.path), *flag, env=env) for _ in range(2))
    assert [(0, 0), (0, 0)] == [told(first), told(again)]
    assert "The log and the buckets are declared." in first.stdout
    assert "nothing changed" in again.stdout
    assert made == everything_in(bus.path)

    async def streams() -> set[str | None]:
        async with connected(Reach(started.url, bus.seed("operator"))) as log:
            return {one.config.name for one in await log.js.streams_info()}

    assert {"LEDGER", "KV_vault", "KV_sessions"} <= asyncio.run(streams())


def test_without_credentials_it_declares_as_who_is_named(bus: BusDirectory, started: NatsServer) -> None:
    line = ("bus", "init", "--nats-url", started.url)
    assert 3 == scopefold(*line).returncode, "the bus lets nobody in without a key"
    done = scopefold(*line, "--nats-credentials", str(bus.path))
    assert (0, "The log and the buckets are declared.\n") == (done.returncode, done.stdout)


def test_a_bus_that_is_named_and_does_not_run_is_told_after_the_credentials_are_made(bus: BusDirectory) -> None:
    done = scopefold("bus", "init", "--credentials", str(bus.path), "--nats-url", "nats://127.0.0.1:9")
    assert (3, 1) == told(done)
    assert bus.accounts.exists()


@pytest.mark.parametrize("flag", [("--tenant", "acme"), ("--route", "nats-1:6222")])
def test_what_is_only_for_credentials_is_refused_without_them(flag: tuple[str, str]) -> None:
    done = scopefold("bus", "init", "--nats-url", "nats://127.0.0.1:9", *flag)
    assert (2, 1) == told(done)
    assert "--credentials DIRECTORY" in done.stderr
