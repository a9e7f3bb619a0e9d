"""`scopefold webhook`: what the webhook of the worklist did not take."""

from datetime import datetime
from typing import Final
from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli.api import Api
from scopefold.cli.commands import Group
from scopefold.cli.failure import refused, usage
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located

NOTHING_LEFT: Final = "Every message was delivered."
NO_WEBHOOK: Final = "There is no webhook"
SET_ONE_UP: Final = "nobody is told who must consent until SCOPEFOLD_WEBHOOK_URL is set"


class DeadLine(Struct, frozen=True):
    """A message that could not be delivered."""

    id: str
    attempts: int
    error: str
    at: datetime


class DeadLines(Struct, frozen=True):
    """All of them, or the first thousand; and whether there is a webhook at all."""

    webhook: bool
    total: int
    items: tuple[DeadLine, ...]


@click.group(cls=Group)
def webhook() -> None:
    """Look after the webhook that is told who must consent again."""


@webhook.command("dead")
@as_json
@located
def dead(where: Where, json_wanted: bool) -> None:
    """List the messages that could not be delivered."""
    reply = where.auth().call("GET", "/v1/webhook/dead")
    if json_wanted:
        click.echo(reply.body)
        return
    found = reply.decoded(DeadLines)
    rows = [[one.id, instant(one.at), str(one.attempts), one.error] for one in found.items]
    if rows or found.webhook:
        show_table(["message", "given up", "attempts", "because"], rows, empty=NOTHING_LEFT)
    if found.total > len(rows):
        click.echo(f"\n{len(rows)} of {found.total} shown.")
    if not found.webhook:
        click.echo(f"{NO_WEBHOOK}: {SET_ONE_UP}.")


@webhook.command("retry")
@click.argument("messages", nargs=-1, metavar="[MESSAGE]...")
@click.option("--all", "everything", is_flag=True, help="All of them, the oldest first.")
@located
def retry(where: Where, messages: tuple[str, ...], everything: bool) -> None:
    """Send messages once more; those that are taken leave the list."""
    if bool(messages) == everything:
        raise usage("No message is named" if not messages else "Messages and --all contradict each other")
    auth = where.auth()
    names = messages or _dead(auth)
    for name in names:
        auth.call("POST", f"/v1/webhook/dead/{quote(name, safe='')}/retry")
        click.echo(f"Delivered {name}.")
    if not names:
        click.echo(NOTHING_LEFT)


def _dead(auth: Api) -> tuple[str, ...]:
    """All that wait. Raises `Failure` where nothing could be sent to anybody."""
    found = auth.call("GET", "/v1/webhook/dead").decoded(DeadLines)
    if not found.webhook:
        raise refused(NO_WEBHOOK, SET_ONE_UP)
    return tuple(one.id for one in found.items)
