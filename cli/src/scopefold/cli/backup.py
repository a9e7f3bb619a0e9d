"""`scopefold backup`: the log and the buckets that must outlive their servers, into a directory and back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec
from msgspec import Struct

from scopefold.cli.commands import Group
from scopefold.cli.connected import connected
from scopefold.cli.extra import server_half
from scopefold.cli.failure import refused, usage
from scopefold.cli.reach import OPERATOR, Reach
from scopefold.cli.snapshot import Snapshot, is_whole, put_back, take
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.follow import Checkpoint, catch_up
from scopefold.ledger.log import STREAM, Log

CONTENTS: Final = "backup.json"
FORMAT: Final = 1


class Backup(Struct, frozen=True, kw_only=True):
    """What a directory holds. It is written last: a backup that was cut off has none."""

    format: int
    taken_at: datetime
    log_running_hash: str
    """Over the log up to its snapshot's last sequence, as `scopefold log verify` tells it."""
    snapshots: tuple[Snapshot, ...]


@click.group(cls=Group)
def backup() -> None:
    """Copy the log, the vault and the clients, and bring them back. The key-encryption keys are not in it."""


directory_argument = click.argument("directory", type=click.Path(path_type=Path, file_okay=False))


@backup.command()
@directory_argument
@as_json
@located
def create(*, where: Where, directory: Path, json_wanted: bool) -> None:
    """Copy everything that must be kept into a new DIRECTORY, while all runs."""
    with server_half():
        from scopefold.auth.store.declared import CLIENTS, CONSENTS, DYNAMIC, VAULT
    # The log first: a vault that knows more than the log heals, a log that knows more than the vault does not.
    streams = [STREAM, *(f"KV_{bucket}" for bucket in (VAULT, CLIENTS, DYNAMIC, CONSENTS))]
    try:
        directory.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise usage("The directory cannot be made", f"{directory}: {error.strerror}") from None
    _show(asyncio.run(_created(where.bus(OPERATOR), streams, directory)), json_wanted)


@backup.command()
@directory_argument
@as_json
def verify(directory: Path, json_wanted: bool) -> None:
    """Is the backup in DIRECTORY whole, byte for byte as it was written?"""
    _show(_checked(directory), json_wanted)


@backup.command()
@directory_argument
@as_json
@located
def restore(*, where: Where, directory: Path, json_wanted: bool) -> None:
    """Bring a backup back to a bus that holds nothing of Scopefold's yet, and check it there.

    Afterwards: `scopefold bus init`, delete every replica's projection.db, start the services. Read docs/backup.md.
    """
    found = _checked(directory)
    asyncio.run(_restored(where.bus(OPERATOR), found, directory))
    _show(found, json_wanted)


async def _created(reach: Reach, streams: Sequence[str], directory: Path) -> Backup:
    taken_at, snapshots = datetime.now(UTC), []
    async with connected(reach) as log:
        for stream in streams:
            if (found := await take(log.nc, stream, directory)) is None:
                raise refused("There is nothing to back up", f"There is no stream {stream} on this bus")
            snapshots.append(found)
        end = await _hashed(log, snapshots[0].last_seq)
    made = Backup(
        format=FORMAT,
        taken_at=taken_at,
        log_running_hash=end.running_hash,
        snapshots=tuple(snapshots),
    )
    path = directory / CONTENTS
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made)))
    return made


async def _restored(reach: Reach, found: Backup, directory: Path) -> None:
    async with connected(reach) as log:
        there = {info.config.name for info in await log.js.streams_info()}
        if taken := [one.stream for one in found.snapshots if one.stream in there]:
            held = f"It holds {', '.join(taken)}, perhaps from a restore that broke off"
            detail = f"{held}. Restore to an empty bus, before `scopefold bus init`"
            raise refused("This bus holds a Scopefold already", detail)
        for snapshot in found.snapshots:
            await put_back(log.nc, snapshot, directory, datetime.now(UTC))
        end = await _hashed(log, found.snapshots[0].last_seq)
        if end.running_hash != found.log_running_hash:
            detail = f"Its running hash is {end.running_hash} instead of {found.log_running_hash}"
            raise refused("The log came back otherwise than it was", detail)


async def _hashed(log: Log, last_seq: int) -> Checkpoint:
    """The log read up to there, without a gap."""

    async def note(_: Sequence[Recorded | Quarantined], __: Checkpoint) -> None:
        pass

    return await catch_up(log, None, note, until=last_seq)


def _checked(directory: Path) -> Backup:
    """What is in a directory, found whole. Raises `Failure`."""
    try:
        found = msgspec.json.decode((directory / CONTENTS).read_bytes(), type=Backup)
    except OSError as error:
        raise refused("There is no whole backup here", f"{directory / CONTENTS}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise refused("This backup cannot be read", f"{directory / CONTENTS}: {error}") from None
    if found.format != FORMAT:
        raise refused("This backup cannot be read", f"It is of format {found.format}, this command knows {FORMAT}")
    for snapshot in found.snapshots:
        if not is_whole(snapshot, directory):
            raise refused("The backup is damaged", f"{directory / snapshot.file} is not what was written")
    return found


def _show(found: Backup, json_wanted: bool) -> None:
    if json_wanted:
        told = [{name: getattr(one, name) for name in SHOWN} for one in found.snapshots]
        click.echo(
            msgspec.json.encode(
                {"taken_at": found.taken_at, "log_running_hash": found.log_running_hash, "snapshots": told}
            )
        )
        return
    rows = [[one.stream, str(one.messages), str(one.last_seq), str(one.bytes)] for one in found.snapshots]
    show_table(["stream", "messages", "last", "bytes"], rows, empty="")
    click.echo(f"Taken at {instant(found.taken_at)}; the log's running hash is {found.log_running_hash}.")


SHOWN: Final = ("stream", "messages", "last_seq", "bytes", "sha256")
