"""`scopefold bus`: what Scopefold keeps on NATS."""

import asyncio

import click

from scopefold.cli.extra import server_half
from scopefold.cli.where import Where, located


@click.group()
def bus() -> None:
    """Set up the bus (NATS JetStream)."""


@bus.command("init")
@click.option("--replicas", type=click.IntRange(1, 5), default=1, show_default=True, help="Copies in a NATS cluster.")
@located
def init(where: Where, replicas: int) -> None:
    """Declare the log and the buckets. What exists already stays as it is."""
    with server_half():
        from scopefold.cli.bootstrap import declare_all
    created = asyncio.run(declare_all(where.nats(), replicas=replicas))
    click.echo("The log and the buckets are declared." if created else "The log was there already; nothing changed.")
