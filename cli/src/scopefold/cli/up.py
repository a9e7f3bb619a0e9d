"""`scopefold up`: all of Scopefold on this machine, until Ctrl-C."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from scopefold.cli.endpoints import DEFAULT_DATA
from scopefold.cli.extra import server_half

if TYPE_CHECKING:
    from scopefold.cli.stack import Stack

port = click.IntRange(0, 65535)


@click.command("up")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=DEFAULT_DATA,
    show_default=True,
    envvar="SCOPEFOLD_DATA",
    help="Where everything is kept [SCOPEFOLD_DATA]. Made if it is missing.",
)
@click.option(
    "--sandbox", is_flag=True, help="Also stand-ins for identity providers and an app, set up to click through."
)
@click.option("--bare", is_flag=True, help="With --sandbox: start it, but register no identity provider.")
@click.option(
    "--manifests",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Directory with connector manifests of your own, beside the shipped ones.",
)
@click.option("--auth-port", type=port, default=8080, show_default=True, help="0: any free one.")
@click.option("--provisioner-port", type=port, default=8081, show_default=True)
@click.option("--sandbox-port", type=port, default=8090, show_default=True)
@click.option("--nats-port", type=port, default=4222, show_default=True)
def up(
    *,
    data: Path,
    sandbox: bool,
    bare: bool,
    manifests: Path | None,
    auth_port: int,
    provisioner_port: int,
    sandbox_port: int,
    nats_port: int,
) -> None:
    """Start the bus and the services here and keep them running until Ctrl-C.

    Settings of auth such as SCOPEFOLD_SEGMENTS are taken from the environment, but for what is decided here: addresses,
    ports, credentials, keys and where everything is kept.
    """
    with server_half():
        from scopefold.cli.newcomer import set_up
        from scopefold.cli.stack import Plan, running

    plan = Plan(
        data=data,
        sandbox=sandbox,
        manifests=manifests,
        auth_port=auth_port,
        provisioner_port=provisioner_port,
        sandbox_port=sandbox_port,
        nats_port=nats_port,
    )
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupt)
    try:
        with running(plan) as stack:
            if sandbox:
                set_up(stack.endpoints, click.echo, bare=bare)
            _welcome(stack, data, sandbox=sandbox, bare=bare)
            stack.watch(click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped.")


def _welcome(stack: "Stack", data: Path, *, sandbox: bool, bare: bool) -> None:
    where = stack.endpoints
    click.echo(f"Scopefold is up. Its data are in {data}; Ctrl-C stops it.\n")
    places = [
        (where.auth, "auth: where apps send people to log in"),
        (f"{where.provisioner}/openapi.json", "provisioner: its API"),
    ]
    if where.sandbox is not None:
        places.append((where.sandbox, "sandbox: stand-ins for Atlassian and other identity providers"))
        places.append((f"{where.sandbox}/playground", "an app to log in to, as alice, bob, carol or dave: start here"))
    width = max(len(address) for address, _ in places)
    for address, what in (*places, (where.nats, "the bus")):
        click.echo(f"  {address:{width}}  {what}")
    click.echo()
    flag = "" if data == DEFAULT_DATA else f" --data {data}"
    me = _how_to_call_this()
    if sandbox and not bare:
        click.echo("To see what it is for: log in at the playground, then, in another terminal:")
        click.echo(f"  {me} connector provision identos.confluence-user --idp atlassian{flag}")
        click.echo(f"  {me} reconsent list{flag}")
        click.echo("and log in again: you are asked for what Confluence needs, and leave the list.")
    else:
        click.echo("Next: register an identity provider:")
        click.echo(f"  {me} idp register --help      and see what is there:  {me} idp list{flag}")


def _how_to_call_this() -> str:
    """What to type for this command from here: its path where it lies below this directory."""
    called = Path(sys.argv[0]).absolute()
    return str(called.relative_to(Path.cwd())) if called.is_relative_to(Path.cwd()) else "scopefold"


def _interrupt(signum: int, frame: object) -> NoReturn:
    """Stop, wherever this is. Python's own handler would let asyncio turn it into a cancellation, which can be lost."""
    raise KeyboardInterrupt
