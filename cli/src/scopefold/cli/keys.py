"""`scopefold keys`: the keys that the auth service signs tokens with."""

from urllib.parse import quote

import click

from scopefold.cli.answers import Keys
from scopefold.cli.api import Reply
from scopefold.cli.commands import Group
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located


@click.group(cls=Group)
def keys() -> None:
    """Look at the signing keys, turn them, and take out one that leaked."""


@keys.command("list")
@as_json
@located
def list_keys(*, where: Where, json_wanted: bool) -> None:
    """List the signing keys: which signs, which comes next, which still verify, which were revoked."""
    _show(where.auth().call("GET", "/v1/keys"), json_wanted)


@keys.command()
@as_json
@located
def rotate(*, where: Where, json_wanted: bool) -> None:
    """Sign with the next keys from now on. What the present ones signed stays valid."""
    _show(where.auth().call("POST", "/v1/keys/rotate"), json_wanted)


@keys.command()
@click.argument("kid")
@as_json
@located
def revoke(*, where: Where, kid: str, json_wanted: bool) -> None:
    """Take a key that leaked out of use. Nothing that it signed is believed any more; this cannot be undone."""
    _show(where.auth().call("POST", f"/v1/keys/{quote(kid, safe='')}/revoke"), json_wanted)


def _show(reply: Reply, json_wanted: bool) -> None:
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [(key.kid, key.alg, key.state, instant(key.since)) for key in reply.decoded(Keys).items]
    show_table(["kid", "alg", "state", "since"], rows, empty="There are no signing keys.")
