"""Commands that were cut off in the middle say so in a line, and can be run again."""

import asyncio
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from scopefold.cli.nats_server import NatsServer
from tests.auth.world import declare_all
from tests.cli.command import scopefold, told
from tests.support.relay import relay


@pytest.mark.parametrize("when", ["$JS.API.STREAM.SNAPSHOT.LEDGER", "$JS.API.STREAM.SNAPSHOT.KV_vault"])
async def test_a_backup_whose_connection_is_lost_says_so(own_nats: NatsServer, tmp_path: Path, when: str) -> None:
    await declare_all(own_nats.url)
    nc = await nats.connect(own_nats.url)
    async with relay(own_nats.port) as between:

        async def meet(_: Msg) -> None:
            between.cut()

        await nc.subscribe(when, cb=meet)
        await nc.flush()
        arguments = ("backup", "create", str(tmp_path / "cut"), "--nats-url", between.url)
        done = await asyncio.to_thread(scopefold, *arguments)
    await nc.close()
    assert (3, 1) == told(done), done.stderr
    assert "bus" in done.stderr
    assert 0 == (await asyncio.to_thread(scopefold, *arguments[:2], str(tmp_path / "whole"), *own(own_nats))).returncode
    assert 1 == (await asyncio.to_thread(scopefold, "backup", "verify", str(tmp_path / "cut"))).returncode


def own(server: NatsServer) -> tuple[str, str]:
    return "--nats-url", server.url
