"""Where the key-encryption keys come from: the environment, a file, or a command that fetches them from elsewhere."""

import asyncio
import contextlib
import os
import shlex
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from typing import Final

from scopefold.auth.core.seal import BadKey, read_keys
from scopefold.auth.settings import Settings
from scopefold.runtime.settings import PREFIX, BadSettings

COMMAND_SECONDS: Final = 20.0
MOST_OUTPUT_BYTES: Final = 4096
END_SECONDS: Final = 5.0
DRAIN_BYTES: Final = 2**16


async def keks_of(settings: Settings, *, seconds: float = COMMAND_SECONDS) -> tuple[bytes, ...]:
    """The key-encryption keys, the current one first. Raises `BadSettings`, which says nothing of the keys.

    A command has `seconds` to print them.
    """
    if settings.kek_command:
        source, text = "SCOPEFOLD_KEK_COMMAND", await _output_of(settings.kek_command, seconds)
    else:
        source, text = "SCOPEFOLD_KEK", settings.kek.reveal()
    try:
        return read_keys(text)
    except BadKey as error:
        raise BadSettings(f"{source}: {error}") from None


async def _output_of(command: str, seconds: float) -> str:
    """What the command prints. It runs without a shell, and without our own settings, which hold secrets."""
    try:
        argv = shlex.split(command)
    except ValueError as error:
        raise _refused(f"cannot be split into words: {error}") from None
    if not argv:
        raise _refused("names no command")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, env=environ, start_new_session=True
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it holds a null byte"
        raise _refused(f"cannot run {argv[0]}: {why}") from None
    return await _read(process, argv, seconds)


async def _read(process: Process, argv: Sequence[str], seconds: float) -> str:
    assert process.stdout is not None
    output = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while part := await process.stdout.read(MOST_OUTPUT_BYTES):
                output += part
                if len(output) > MOST_OUTPUT_BYTES:
                    raise _refused(f"{argv[0]} printed more than {MOST_OUTPUT_BYTES} bytes")
            code = await process.wait()
    except TimeoutError:
        raise _refused(f"{argv[0]} did not end within {seconds:g} seconds") from None
    finally:
        await _end(process)
    if code != 0:
        raise _refused(f"{argv[0]} ended with code {code}; run it by hand to see why: what it prints is shown nowhere")
    try:
        return output.decode("ascii")
    except UnicodeDecodeError:
        raise _refused(f"{argv[0]} printed something that is no key") from None


async def _end(process: Process) -> None:
    """End it with whatever it started. What it still printed is read away: the end is seen only behind that."""
    assert process.stdout is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):  # somebody else may hold its output open
        async with asyncio.timeout(END_SECONDS):
            while await process.stdout.read(DRAIN_BYTES):
                pass
            await process.wait()


def _refused(why: str) -> BadSettings:
    return BadSettings(f"SCOPEFOLD_KEK_COMMAND: {why}")
