"""What a backup brings back is what was there, under the same sequences; and what is damaged is not brought back."""

import asyncio
import base64
import json
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.msg import Msg

from scopefold.auth.core.seal import UnknownKek
from scopefold.auth.store import declared
from scopefold.cli import snapshot
from scopefold.cli.failure import Failure
from scopefold.cli.nats_server import NatsServer
from scopefold.contracts.events import Event
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import LogReplaced, begin, catch_up
from scopefold.ledger.log import Log, declare, status
from tests.auth.sealed import OLD, bucket, opened, text_of, token
from tests.auth.world import auth, status_becomes
from tests.cli.command import problem_of, scopefold, told
from tests.support.logs import JIRA, provisioned, stored

USER = "u_backup01"


async def append_all(log: Log, events: Sequence[Event]) -> None:
    """What services tell the log."""
    for number, event in enumerate(events):
        by = "provisioner" if number == 0 and len(events) > 1 else "auth"
        new = NewEvent(secrets.token_hex(8), event)
        await append(log, [new], tenant="default", publisher=by, now=datetime.now(UTC))


@pytest.fixture
def other_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """An empty bus."""
    server = NatsServer(tmp_path / "other-nats")
    server.start()
    yield server
    server.stop()


async def filled(url: str) -> dict[str, Any]:
    """A log and a vault with something in them; what a reader of the log has come to."""
    async with bucket(url) as (rows, _):
        vault = await opened(rows, OLD)
        await vault.put_token(USER, "atlassian", token("canary-access-token"), revision=0)
        for number in range(20):  # so that a snapshot has several chunks
            await vault.put_token(f"u_big{number:05}", "atlassian", token(secrets.token_hex(25_000)), revision=0)
    nc = await nats.connect(url)
    await append_all(Log(nc), [provisioned("jira", JIRA), *(stored(f"u_many{n:04}", ["a"]) for n in range(60))])
    found = await verified(url)
    await nc.close()
    return found


async def verified(url: str) -> dict[str, Any]:
    """What `scopefold log verify` tells."""
    done = await asyncio.to_thread(scopefold, "log", "verify", "--json", "--nats-url", url)
    assert 0 == done.returncode, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return scopefold("backup", *arguments)


async def test_what_was_backed_up_comes_back_as_it_was(
    own_nats: NatsServer, other_nats: NatsServer, tmp_path: Path
) -> None:
    before = await filled(own_nats.url)
    nc = await nats.connect(own_nats.url)
    checkpoint = await catch_up(Log(nc), None, lambda *_: asyncio.sleep(0))
    await nc.close()
    copy = tmp_path / "deep" / "copy"
    made = await asyncio.to_thread(command, "create", str(copy), "--json", "--nats-url", own_nats.url)
    assert (0, 0) == told(made), made.stderr
    assert [0o700, 0o600] == [path.stat().st_mode & 0o777 for path in (copy, copy / "LEDGER.snapshot")]
    assert made.stdout == (await asyncio.to_thread(command, "verify", str(copy), "--json")).stdout
    back = await asyncio.to_thread(command, "restore", str(copy), "--nats-url", other_nats.url)
    assert (0, 0) == told(back), back.stderr
    assert before["running_hash"] in back.stdout
    after = await verified(other_nats.url)
    assert {**before, "created": None} == {**after, "created": None}
    nc = await nats.connect(other_nats.url)
    assert not await declare(Log(nc))  # it has the settings that the log needs
    await declared.declare(Log(nc).js)
    with pytest.raises(LogReplaced):  # who has read more than the backup holds must not go on as if nothing had been
        await begin(Log(nc), checkpoint)
    assert checkpoint.running_hash == (await catch_up(Log(nc), None, lambda *_: asyncio.sleep(0))).running_hash
    await append_all(Log(nc), [stored("u_later0001", ["a"])])
    assert before["last_seq"] + 1 == (await status(Log(nc))).last_seq
    await nc.close()
    async with bucket(other_nats.url) as (rows, _):
        found, revision = await (await opened(rows, OLD)).token(USER, "atlassian") or (token(""), 0)
        assert "canary-access-token" == found.access_token
        await (await opened(rows, OLD)).put_token(USER, "atlassian", token("next"), revision=revision)
        with pytest.raises(UnknownKek):
            await opened(rows, secrets.token_bytes(32))
    with auth(tmp_path / "auth", nats_url=other_nats.url, kek=text_of(OLD)) as service:
        await status_becomes(service, 200)


async def test_H08_a_backup_holds_no_token_and_no_key(own_nats: NatsServer, tmp_path: Path) -> None:
    await filled(own_nats.url)
    async with bucket(own_nats.url) as (rows, _):
        vault = await opened(rows, OLD)
        data_key = await vault.keys.to_seal(USER, new_row=False)
    await asyncio.to_thread(command, "create", str(tmp_path / "copy"), "--nats-url", own_nats.url)
    canaries = [OLD, base64.b64encode(OLD), data_key, base64.b64encode(data_key), b"canary-access-token"]
    files = sorted((tmp_path / "copy").iterdir())
    assert 6 == len(files)
    for path in files:
        assert [] == [canary for canary in canaries if canary in path.read_bytes()], path.name


async def test_what_is_damaged_or_would_overwrite_is_refused(
    own_nats: NatsServer, other_nats: NatsServer, tmp_path: Path
) -> None:
    await filled(own_nats.url)
    copy = str(tmp_path / "copy")
    nothing = await asyncio.to_thread(command, "create", copy, "--json", "--nats-url", other_nats.url)
    assert (1, "There is nothing to back up") == (nothing.returncode, problem_of(nothing).title)
    copy += "2"
    assert 0 == (await asyncio.to_thread(command, "create", copy, "--nats-url", own_nats.url)).returncode
    again = await asyncio.to_thread(command, "create", copy, "--nats-url", own_nats.url)
    assert (2, 1) == told(again)
    over = await asyncio.to_thread(command, "restore", copy, "--json", "--nats-url", own_nats.url)
    assert (1, "This bus holds a Scopefold already") == (over.returncode, problem_of(over).title)
    vault = Path(copy) / "KV_vault.snapshot"
    whole = vault.read_bytes()
    for damaged in (whole[:-1], whole[:100] + b"x" + whole[101:], None):
        if damaged is None:
            vault.unlink()
        else:
            vault.write_bytes(damaged)
        for line in (("verify", copy), ("restore", copy, "--nats-url", other_nats.url)):
            done = await asyncio.to_thread(command, *line, "--json")
            assert (1, "The backup is damaged") == (done.returncode, problem_of(done).title)
    (Path(copy) / "backup.json").unlink()
    cut_off = await asyncio.to_thread(command, "verify", copy, "--json")
    assert (1, "There is no whole backup here") == (cut_off.returncode, problem_of(cut_off).title)


async def test_who_listens_a_moment_later_is_asked_again_and_nobody_for_ever(
    own_nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where chunks are taken, in a cluster of which one server has not told another yet."""

    async def taken(chunk: Msg) -> None:
        await chunk.respond(b'{"taken": 1}')

    monkeypatch.setattr(snapshot, "LISTENING_SECONDS", 20.0)
    asker, listener = await nats.connect(own_nats.url), await nats.connect(own_nats.url)
    try:
        asking = asyncio.create_task(snapshot._asked(asker, "chunks", b"one"))
        await asyncio.sleep(0)
        await asker.flush()  # behind the answer that nobody listens
        await listener.subscribe("chunks", cb=taken)
        assert {"taken": 1} == await asking
        monkeypatch.setattr(snapshot, "LISTENING_SECONDS", 0.0)
        with pytest.raises(Failure, match="The bus does not answer"):
            await snapshot._asked(asker, "nowhere", b"one")
    finally:
        await asker.close()
        await listener.close()
