"""A client in a process of its own, which has its person's browser opened by the test."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

from tests.clients.visitor import Visitor
from tests.support.node import found

RUN_SECONDS: Final = 60


async def run(directory: Path, script: str, visitor: Visitor, **told: Any) -> Any:
    """What the script saw in the end. It is told `told`; every address that it wants opened, the visitor opens."""
    process = await asyncio.create_subprocess_exec(
        found("node"),
        script,
        json.dumps(told),
        cwd=directory,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        return await asyncio.wait_for(_converse(process, visitor, told["redirect_uri"]), RUN_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _converse(process: asyncio.subprocess.Process, visitor: Visitor, redirect_uri: str) -> Any:
    assert process.stdin and process.stdout and process.stderr
    while line := await process.stdout.readline():
        said = json.loads(line)
        if "saw" in said:
            await process.wait()
            return said["saw"]
        back = await visitor.sent_back(said["open"], redirect_uri)
        process.stdin.write(f"{back}\n".encode())
    raise AssertionError((await process.stderr.read()).decode())
