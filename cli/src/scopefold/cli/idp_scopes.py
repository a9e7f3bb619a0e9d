"""`scopefold idp scopes`, `withhold`, `restore` and `prune`: who wants what is asked for at an identity provider, what
logins leave out and ask for again, and what is taken out for good.
"""

from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli import preview
from scopefold.cli.answers import Idp
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, as_of, at_option, dry_option, located, somebody_to_ask, told_or_agreed
from scopefold.consent.attribution import Attributed
from scopefold.contracts.events import ScopesPruned
from scopefold.contracts.words import MAX_SCOPES


class Scopes(Struct, omit_defaults=True):
    """What each of the commands sends."""

    scopes: tuple[str, ...]
    dry_run: bool = False


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


class AttributedScopes(Struct, frozen=True):
    """Every scope of an IdP's union, who wants it, and how it came there."""

    idp: str
    items: tuple[Attributed, ...]


@click.command("scopes")
@click.argument("name", metavar="IDP")
@at_option
@as_json
@located
def scopes_(where: Where, name: str, at: str | None, json_wanted: bool) -> None:
    """Show who wants each scope of the union, since which event; and what nobody wants any more."""
    reply = where.auth().call("GET", f"/v1/idps/{quote(name, safe='')}/scopes", params=as_of(at))
    if json_wanted:
        click.echo(reply.body)
        return
    rows = [row for one in reply.decoded(AttributedScopes).items for row in _rows(one)]
    headers = ["scope", "wanted by", "since", "event", "came with event"]
    show_table(headers, rows, empty=f"Nothing is asked for at {name}.")


def _rows(one: Attributed) -> list[list[str]]:
    """A line for each who wants the scope, or one that says that nobody does."""
    came = str(one.origin.cause.seq)
    if (ended := one.origin.unwanted_since) is not None:
        return [[one.scope, "nobody", instant(ended.at), str(ended.seq), came]]
    wanted = [
        (f"{want.connector or 'the IdP itself'}{' (one of several lists)' if want.how == 'any-of' else ''}", want.cause)
        for want in one.wanted_by
    ]
    return [
        [one.scope if place == 0 else "", who, instant(cause.at), str(cause.seq), came if place == 0 else ""]
        for place, (who, cause) in enumerate(wanted)
    ]


@click.command("prune")
@click.argument("name", metavar="IDP")
@click.option("--scope", "named", multiple=True, help="A scope to take out. Repeatable; none: all that nobody wants.")
@dry_option
@preview.limit_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
@located
def prune(
    *, where: Where, name: str, named: tuple[str, ...], dry_run: bool, limit: int, yes: bool, json_wanted: bool
) -> None:
    """Take scopes out of the union that nobody wants any more. Shows what would happen first, and asks."""
    told_or_agreed(json_wanted, dry_run=dry_run, yes=yes)
    auth = where.auth()
    found = auth.call("GET", f"/v1/idps/{quote(name, safe='')}/scopes").decoded(AttributedScopes)
    scopes = named or tuple(one.scope for one in found.items if one.origin.unwanted_since is not None)[:MAX_SCOPES]
    if not scopes:
        nothing = f"Somebody wants every scope that is asked for at {name}: there is nothing to prune."
        if not json_wanted:
            click.echo(nothing)
        elif dry_run:
            preview.tell(preview.DryRun(None, None), json_wanted)
        else:
            click.echo(auth.call("GET", f"/v1/idps/{quote(name, safe='')}").body)
        return
    if dry_run or not yes:
        auth.call("POST", f"/v1/idps/{quote(name, safe='')}/pruned", body=Scopes(scopes, dry_run=True))
        event = ScopesPruned(idp=name, scopes=scopes, by="operator")
        told = preview.ask(auth, event, limit)
        if dry_run:
            preview.tell(preview.DryRun(event, told), json_wanted)
            return
        preview.show(told, event)
        somebody_to_ask("prune it")
        if not click.confirm(f"\nPrune the union at {name} of {len(told.removed)} scopes?"):
            click.echo("Nothing was pruned.")
            return
    changed, body, idp = _change(where, name, "pruned", scopes)
    if json_wanted:
        click.echo(body)
        return
    click.echo(f"Pruned {' '.join(scopes)}." if changed else "Nothing was to be pruned.")
    click.echo(f"The union at {name} is now: {' '.join(idp.union) or 'empty'}")
