"""`scopefold idp withhold` and `restore`: what logins at an identity provider leave out, and ask for again."""

from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli.answers import Idp
from scopefold.cli.where import Where, as_json, located


class Scopes(Struct):
    """What either command sends."""

    scopes: tuple[str, ...]


def _change(where: Where, name: str, what: str, scopes: tuple[str, ...]) -> tuple[bool, bytes, Idp]:
    reply = where.auth().call("POST", f"/v1/idps/{quote(name, safe='')}/{what}", body=Scopes(scopes))
    return reply.status == 201, reply.body, reply.decoded(Idp)


@click.command("withhold")
@click.argument("name", metavar="IDP")
@click.option("--scope", "scopes", multiple=True, help="A scope to leave out. Repeatable; none: what is suspect.")
@as_json
@located
def withhold(*, where: Where, name: str, scopes: tuple[str, ...], json_wanted: bool) -> None:
    """Leave scopes out of logins for now, since the provider refuses people over them."""
    changed, body, found = _change(where, name, "withheld", scopes)
    if json_wanted:
        click.echo(body)
        return
    click.echo("" if changed else "It was so already. ", nl=False)
    click.echo(f"Logins at {name} leave out: {' '.join(found.withheld)}")
    click.echo(f"The last good union is asked for: {' '.join(found.requested)}")


@click.command("restore")
@click.argument("name", metavar="IDP")
@click.option("--scope", "scopes", multiple=True, help="A scope to ask for again. Repeatable; none: all.")
@as_json
@located
def restore(*, where: Where, name: str, scopes: tuple[str, ...], json_wanted: bool) -> None:
    """Ask again for what logins left out, and for what users were asked for in vain."""
    changed, body, found = _change(where, name, "restored", scopes)
    if json_wanted:
        click.echo(body)
        return
    click.echo("" if changed else "Nothing was left out, and nothing was asked for in vain. ", nl=False)
    click.echo(f"Asked for at {name}: {' '.join(found.requested)}")
