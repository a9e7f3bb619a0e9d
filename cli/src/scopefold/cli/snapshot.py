"""One stream of the bus as a file, and back: JetStream's own snapshots, which keep every sequence and every time."""

import asyncio
import hashlib
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import nats.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from scopefold.cli.failure import refused, unreachable
from scopefold.ledger.incarnation import restored

CHUNK_BYTES: Final = 128 * 1024
ANSWER_SECONDS: Final = 30.0
LISTENING_SECONDS: Final = 5.0
"""Within so long every server of a cluster knows who listens."""
PAUSE_SECONDS: Final = 0.1
LOOKS: Final = 60
"""So often is looked, while a chunk is waited for, whether it can still come."""
WHOLE: Final = "204"
"""The status of the message that ends a snapshot, where it has one."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """A stream in a file. `config` and `state` are the server's own words, which it wants back."""

    stream: str
    file: str
    bytes: int
    sha256: str
    messages: int
    last_seq: int
    config: dict[str, Any]
    state: dict[str, Any]


async def take(nc: Client, stream: str, directory: Path) -> Snapshot | None:
    """Write a stream as it is now into a file of this directory; None where there is no such stream.

    Raises `Failure` where the bus refuses or falls silent.
    """
    chunks: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = nc.new_inbox()
    subscription = await nc.subscribe(inbox, cb=chunks.put)
    try:
        asked = {"deliver_subject": inbox, "no_consumers": True, "chunk_size": CHUNK_BYTES, "jsck": True}
        answer = await _asked(nc, f"$JS.API.STREAM.SNAPSHOT.{stream}", json.dumps(asked).encode())
        if error := answer.get("error"):
            if error["code"] == 404:
                return None
            raise refused(f"The bus gives no snapshot of {stream}", str(error["description"]))
        path = directory / f"{stream}.snapshot"
        size, digest = await _write(nc, path, chunks, stream)
    finally:
        with suppress(nats.errors.Error):  # it is over with the connection, of which something better is said
            await subscription.unsubscribe()
    state = answer["state"]
    return Snapshot(
        stream=stream,
        file=path.name,
        bytes=size,
        sha256=digest,
        messages=state["messages"],
        last_seq=state["last_seq"],
        config=answer["config"],
        state=state,
    )


async def _write(nc: Client, path: Path, chunks: asyncio.Queue[Msg], stream: str) -> tuple[int, str]:
    """The chunks into a file, to the empty one that is the end. The server sends more only for acknowledgements."""
    size, digest = 0, hashlib.sha256()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while True:
            chunk = await _next(nc, chunks, stream)
            if not chunk.data:
                if (status := (chunk.headers or {}).get("Status", WHOLE)) != WHOLE:
                    raise refused(f"The bus broke off the snapshot of {stream}", f"status {status}")
                return size, digest.hexdigest()
            file.write(chunk.data)
            size += len(chunk.data)
            digest.update(chunk.data)
            if chunk.reply:
                with suppress(nats.errors.Error):  # without a connection nothing more comes, and that is said
                    await chunk.respond(b"")


async def _next(nc: Client, chunks: asyncio.Queue[Msg], stream: str) -> Msg:
    for _ in range(LOOKS):
        try:
            async with asyncio.timeout(ANSWER_SECONDS / LOOKS):
                return await chunks.get()
        except TimeoutError:
            if nc.is_closed:
                raise unreachable(f"The connection to the bus was lost amid the snapshot of {stream}") from None
    raise unreachable(f"The bus fell silent amid the snapshot of {stream}")


async def put_back(nc: Client, snapshot: Snapshot, directory: Path, now: datetime) -> None:
    """Make the stream anew from its file, under its own sequences. Raises `Failure`, also where it exists."""
    asked = json.dumps({"config": restored(snapshot.config, now), "state": snapshot.state}).encode()
    answer = await _asked(nc, f"$JS.API.STREAM.RESTORE.{snapshot.stream}", asked)
    _check(answer, snapshot)
    to = str(answer["deliver_subject"])
    with (directory / snapshot.file).open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            _check(await _asked(nc, to, chunk), snapshot)
    made = await _asked(nc, to, b"")
    _check(made, snapshot)
    state = made["state"]
    if (state["messages"], state["last_seq"]) != (snapshot.messages, snapshot.last_seq):
        found = f"{state['messages']} messages up to {state['last_seq']}"
        detail = f"It has {found} instead of {snapshot.messages} up to {snapshot.last_seq}"
        raise refused(f"{snapshot.stream} came back otherwise than it was", detail)


def is_whole(snapshot: Snapshot, directory: Path) -> bool:
    """Is the file there, as it was written?"""
    try:
        with (directory / snapshot.file).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == snapshot.sha256
    except OSError:
        return False


async def _asked(nc: Client, subject: str, content: bytes) -> dict[str, Any]:
    try:
        answer = await _taken(nc, subject, content)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise unreachable("The bus does not answer", repr(error)) from None
    found: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    return found


async def _taken(nc: Client, subject: str, content: bytes) -> Msg:
    """Ask, and again where nobody listened, so that nothing came of it: the servers of a cluster tell each other who
    listens where, and the one that makes a stream may answer sooner than another one knows where it takes the chunks.
    """
    ends = asyncio.get_running_loop().time() + LISTENING_SECONDS
    while True:
        try:
            return await nc.request(subject, content, timeout=ANSWER_SECONDS)
        except nats.errors.NoRespondersError:
            if asyncio.get_running_loop().time() > ends:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


def _check(answer: dict[str, Any], snapshot: Snapshot) -> None:
    if error := answer.get("error"):
        raise refused(f"The bus does not take {snapshot.stream} back", str(error["description"]))
