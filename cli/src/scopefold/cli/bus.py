"""`scopefold bus`: what Scopefold keeps on NATS, and who may come there."""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec.structs import replace

from scopefold.cli import endpoints
from scopefold.cli.commands import Group
from scopefold.cli.extra import server_half
from scopefold.cli.failure import usage
from scopefold.cli.reach import OPERATOR
from scopefold.cli.where import Where, as_json, located

if TYPE_CHECKING:
    from scopefold.cli.bus_directory import BusDirectory
    from scopefold.cli.bus_grants import Extra

directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    help="Where the credentials are. Default: those of a running `scopefold up`, which hears of the change at once.",
)
data = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=endpoints.DEFAULT_DATA,
    envvar="SCOPEFOLD_DATA",
    help="Data directory of `scopefold up` [SCOPEFOLD_DATA].",
)


@click.group(cls=Group)
def bus() -> None:
    """Set up the bus (NATS JetStream): its log and buckets, and a credential for each service."""


@bus.command("init")
@click.option(
    "--credentials",
    "directory",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="Make a key for each of Scopefold's services there, and what nats-server must be told.",
)
@click.option("--tenant", help="With --credentials: whose log it is [SCOPEFOLD_TENANT].")
@click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="HOST:PORT",
    help="With --credentials: a server of a cluster, each once.",
)
@click.option("--replicas", type=click.IntRange(1, 5), default=1, show_default=True, help="Copies in a NATS cluster.")
@located
def init(where: Where, directory: Path | None, tenant: str | None, routes: tuple[str, ...], replicas: int) -> None:
    """Set up the bus: its credentials, then its log and buckets. What exists stays as it is.

    nats-server needs the credentials to start, so a new bus takes two calls, the same line if you like: one with
    --credentials, and one once nats-server runs. Without an address of the bus, --credentials makes the files alone.
    """
    if directory is not None:
        _at(directory).make(tenant or where.tenant, routes)
        told = f"{directory}/server/accounts.conf"
        click.echo(f"The seeds are in {directory}: give each service its own. nats-server includes {told}.")
        if not where.names_bus:
            click.echo(f"Next: start nats-server, then: scopefold bus init --credentials {directory} --nats-url URL")
            return
        where = replace(where, nats_credentials=where.nats_credentials or directory)
    elif tenant is not None or routes:
        raise usage("This is for making credentials", "Give --credentials DIRECTORY beside --tenant and --route")
    with server_half():
        from scopefold.cli.bootstrap import declare_all
    created = asyncio.run(declare_all(where.bus(OPERATOR), replicas=replicas))
    click.echo("The log and the buckets are declared." if created else "The log was there already; nothing changed.")


@bus.command("services")
@directory
@data
@as_json
def services(directory: Path | None, data: Path, *, json_wanted: bool) -> None:
    """List who may come to the bus, and with which public keys."""
    known = _of(directory, data).services()
    if json_wanted:
        click.echo(msgspec.json.encode({"items": known}).decode())
        return
    for one in known:
        click.echo("  ".join([one.name, *one.extras, *one.keys]))


@bus.command("add-service")
@click.argument("name")
@click.option("--reads-log", "extras", flag_value="log", multiple=True, help="It may also read the whole log.")
@click.option("--commands", "extras", flag_value="commands", multiple=True, help="It may also send connector commands.")
@click.option("--exchange", "extras", flag_value="exchange", multiple=True, help="It may also exchange users' tokens.")
@directory
@data
def add_service(name: str, extras: tuple["Extra", ...], directory: Path | None, data: Path) -> None:
    """Let another service in: it may report tokens that lack a scope, and nothing else."""
    made = _of(directory, data).add(name, extras)
    _told(directory, data, f"{name} is known. Its seed is in {made}: whoever has it is {name}.")


@bus.command("new-key")
@click.argument("name")
@directory
@data
def new_key(name: str, directory: Path | None, data: Path) -> None:
    """Give a service a new key. Its old ones stay good until drop-old-keys."""
    made = _of(directory, data).new_key(name)
    _told(directory, data, f"{name} has a new key. Its seed is in {made}; the old one is good until drop-old-keys.")


@bus.command("drop-old-keys")
@click.argument("name")
@directory
@data
def drop_old_keys(name: str, directory: Path | None, data: Path) -> None:
    """Leave a service its newest key alone. Who is connected with another is thrown out."""
    dropped = _of(directory, data).drop_old_keys(name)
    _told(directory, data, f"{name} has one key; {dropped} dropped.")


@bus.command("remove-service")
@click.argument("name")
@directory
@data
def remove_service(name: str, directory: Path | None, data: Path) -> None:
    """Let another service in no more. Who is connected as it is thrown out."""
    _of(directory, data).remove(name)
    _told(directory, data, f"{name} is no longer known.")


def _at(path: Path) -> "BusDirectory":
    with server_half():
        from scopefold.cli.bus_directory import BusDirectory
    return BusDirectory(path)


def _of(directory: Path | None, data: Path) -> "BusDirectory":
    return _at(directory or data / "bus")


def _told(directory: Path | None, data: Path, done: str) -> None:
    """Let the bus of a running `scopefold up` read its configuration again; others must be told by their operator."""
    with server_half():
        from scopefold.cli.data_directory import DataDirectory
    click.echo(done)
    # A file that a crash left behind may name a process id that is somebody else's by now.
    running = endpoints.read(data) if directory is None and DataDirectory(data).is_held() else None
    if running is not None and (pid := running.pids.get("nats-server")) is not None:
        os.kill(pid, signal.SIGHUP)
    else:
        click.echo("It counts once nats-server reads its configuration again: nats-server --signal reload")
