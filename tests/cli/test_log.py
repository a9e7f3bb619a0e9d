"""`scopefold log` and `scopefold bus` on a real log."""

import asyncio
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import nats
import pytest

from scopefold.cli.log import EventLine, Verified
from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.events import ConnectorDeprovisioned, Event, UserLoggedIn
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log
from scopefold.ledger.moments import time_of
from tests.cli.command import environment, scopefold, told, until
from tests.support.logs import registered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JIRA = "urn:connector:identos:jira-user"


async def put(log: Log, number: int, event: Event, by: str = "auth") -> None:
    await append(log, [NewEvent(f"event-{number:04}", event)], tenant="default", publisher=by, now=NOW)


async def fill(log: Log) -> None:
    """Events 1, 2, 4 and 5; message 3 is none."""
    await put(log, 1, UserLoggedIn(user="user-0001", idp="atlassian", client="playground"))
    await put(log, 2, UserLoggedIn(user="user-0002", idp="bitbucket", client="playground"))
    await log.js.publish("ledger.default.idp.atlassian.connector-removed", b'{"type":"connector-removed.v1"}')
    gone = ConnectorDeprovisioned(resource_type=JIRA, connector="identos.jira-user", idp="atlassian")
    await put(log, 4, gone, by="provisioner")
    await put(log, 5, UserLoggedIn(user="user-0001", idp="bitbucket", client="playground"))


@pytest.mark.parametrize(
    ("arguments", "sequences"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--from", "2", "--to", "3"), [2, 3]),
        (("--from", "6"), []),
        (("--type", "user-logged-in"), [1, 2, 5]),
        (("--type", "connector-deprovisioned.v1"), [4]),
        (("--user", "user-0001"), [1, 5]),
        (("--user", "user-0001", "--to", "2"), [1]),
        (("--idp", "atlassian"), [1, 4]),
        (("--user", "user-0001", "--idp", "atlassian"), [1]),
        (("--since", "event-0004"), [4, 5]),
        (("--since", "2", "--until", "event-0004", "--type", "user-logged-in"), [2]),
        (("--since", "4", "--to", "3"), []),
    ],
)
async def test_read_prints_what_was_asked_for(
    log: Log, shared_nats: NatsServer, arguments: tuple[str, ...], sequences: list[int]
) -> None:
    await fill(log)
    line = ("log", "read", "--nats-url", shared_nats.url, *arguments)
    done = await asyncio.to_thread(scopefold, *line, "--json")
    assert (0, 0) == told(done), done.stderr
    assert sequences == [msgspec.json.decode(text, type=EventLine).seq for text in done.stdout.splitlines()]
    for_people = await asyncio.to_thread(scopefold, *line)
    assert sequences == [int(text.split()[0]) for text in for_people.stdout.splitlines()]


async def test_read_begins_and_ends_at_times(log: Log, shared_nats: NatsServer) -> None:
    await fill(log)
    times = [(await time_of(log, seq)).isoformat() for seq in range(1, 6)]
    line = ("log", "read", "--json", "--nats-url", shared_nats.url)
    done = await asyncio.to_thread(scopefold, *line, "--since", times[1], "--until", times[3])
    assert (0, 0) == told(done), done.stderr
    assert [2, 3, 4] == [msgspec.json.decode(text, type=EventLine).seq for text in done.stdout.splitlines()]
    for option in ("--since", "--until"):
        refused = await asyncio.to_thread(scopefold, *line, option, "2999-01-01T00:00:00Z")
        assert (1, 1) == told(refused)
        assert "has not come yet" in refused.stderr


async def test_verify_tells_the_running_hash_and_what_is_no_event(log: Log, shared_nats: NatsServer) -> None:
    await fill(log)
    done = await asyncio.to_thread(scopefold, "log", "verify", "--nats-url", shared_nats.url, "--json")
    assert (0, 0) == told(done), done.stderr
    found = msgspec.json.decode(done.stdout, type=Verified)
    assert (5, 5, [3]) == (found.messages, found.last_seq, [one.seq for one in found.quarantined])
    again = await asyncio.to_thread(scopefold, "log", "verify", "--nats-url", shared_nats.url)
    assert found.running_hash in again.stdout
    assert "1 is no event" in again.stdout


async def test_verify_refuses_a_log_with_a_gap(shared_nats: NatsServer) -> None:
    nc = await nats.connect(shared_nats.url)
    js = nc.jetstream()
    for info in await js.streams_info():
        await js.delete_stream(str(info.config.name))
    await js.add_stream(name="LEDGER", subjects=["ledger.>"], allow_direct=True)
    for number in range(3):
        await js.publish(f"ledger.default.{number}", b"{}")
    await js.delete_msg("LEDGER", 2)
    await nc.close()
    done = await asyncio.to_thread(scopefold, "log", "verify", "--nats-url", shared_nats.url)
    assert (1, 1) == told(done), done.stderr
    assert "sequence 2 is missing" in done.stderr


async def test_follow_prints_events_as_they_come(log: Log, shared_nats: NatsServer) -> None:
    await fill(log)
    line = [sys.executable, "-m", "scopefold.cli", "log", "follow", "--json", "--from", "5", "--nats-url"]
    following = await asyncio.to_thread(start, [*line, shared_nats.url])
    try:
        assert following.stdout is not None
        assert 5 == json.loads(await asyncio.to_thread(following.stdout.readline))["seq"]
        await put(log, 6, UserLoggedIn(user="user-0003", idp="atlassian", client="playground"))
        assert 6 == json.loads(await asyncio.to_thread(following.stdout.readline))["seq"]
    finally:
        following.send_signal(signal.SIGINT)
        await asyncio.to_thread(following.communicate, timeout=30)
    assert 130 == following.returncode


@pytest.mark.parametrize(
    ("idp", "user", "says"),
    [
        ("typo", None, "There is no such identity provider: typo. As of event 6 there are: okta."),
        ("typo", "user-0001", "There is no such identity provider: typo. As of event 6 there are: okta."),
        (None, "user-0009", "No event up to 6 concerns the user user-0009."),
        ("okta", "user-0009", "No event up to 6 concerns the user user-0009."),
        ("okta", None, ""),
        ("okta", "user-0001", ""),
    ],
)
async def test_whoever_follows_what_nothing_names_yet_is_told_once_and_sees_it_come(
    log: Log, shared_nats: NatsServer, idp: str | None, user: str | None, says: str
) -> None:
    """Else waiting for a name that is mistyped would look like any other waiting. What is printed stays a stream."""
    await fill(log)
    await put(log, 6, registered("okta", "okta"))
    line = [sys.executable, "-m", "scopefold.cli", "log", "follow", "--json", "--from", "7"]
    line += [word for name, one in (("--idp", idp), ("--user", user)) if one is not None for word in (name, one)]
    following = await asyncio.to_thread(start, [*line, "--nats-url", shared_nats.url])
    try:
        assert following.stdout is not None
        assert following.stderr is not None
        told = await asyncio.to_thread(following.stderr.readline) if says else b""
        assert says == told.decode().strip()
        await put(log, 7, UserLoggedIn(user=user or "user-0001", idp=idp or "okta", client="playground"))
        assert 7 == json.loads(await asyncio.to_thread(following.stdout.readline))["seq"]
    finally:
        following.send_signal(signal.SIGINT)
        _, rest = await asyncio.to_thread(following.communicate, timeout=30)
    assert b"There is no such" not in rest
    assert b"No event up to" not in rest


def test_init_declares_what_is_missing_once(own_nats: NatsServer) -> None:
    before = scopefold("log", "verify", "--nats-url", own_nats.url)
    assert (1, 1) == told(before), before.stderr
    assert "scopefold bus init" in before.stderr
    init = ("bus", "init", "--nats-url", own_nats.url)
    first, second = scopefold(*init), scopefold(*init)
    assert [(0, 0), (0, 0)] == [told(first), told(second)], first.stderr + second.stderr
    assert ("are declared" in first.stdout, "nothing changed" in second.stdout) == (True, True)
    assert (0, 0) == told(scopefold("log", "verify", "--nats-url", own_nats.url))


def test_a_reader_that_has_enough_ends_the_command_quietly(own_nats: NatsServer) -> None:
    scopefold("bus", "init", "--nats-url", own_nats.url)
    asyncio.run(_publish(own_nats.url, 5000))
    line = [sys.executable, "-m", "scopefold.cli", "log", "read", "--nats-url", own_nats.url]
    reading = start(line)
    assert reading.stdout is not None
    assert reading.stderr is not None
    assert reading.stdout.readline().startswith(b"1 ")
    reading.stdout.close()
    until("it ends", lambda: reading.poll() is not None, seconds=30)
    assert (1, b"") == (reading.returncode, reading.stderr.read())
    reading.stderr.close()


def start(line: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(line, env=environment({}), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


async def _publish(url: str, count: int) -> None:
    nc = await nats.connect(url)
    log = Log(nc)
    for first in range(0, count, 1000):
        events = [UserLoggedIn(user=f"user-{n:06}", idp="atlassian", client="playground") for n in range(1000)]
        new = [NewEvent(f"event-{first + n:06}", event) for n, event in enumerate(events)]
        await append(log, new, tenant="default", publisher="auth", now=NOW)
    await nc.close()
