"""`scopefold idp remove`: an identity provider goes, with its connectors and all tokens of it."""

from collections import Counter
from typing import Final
from urllib.parse import quote

import click
import msgspec
from msgspec import Struct
from msgspec.structs import replace

from scopefold.cli.answers import RemovedIdp
from scopefold.cli.api import Api
from scopefold.cli.failure import refused
from scopefold.cli.where import Where, as_json, dry_option, located, somebody_to_ask, told_or_agreed

MOST_CALLS: Final = 100_000


class Removal(Struct, frozen=True, omit_defaults=True):
    """What the service is asked for."""

    dry_run: bool = False
    revoke: bool = True
    after: int = 0


@click.command("remove")
@click.argument("name", metavar="IDP")
@click.option("--no-revoke", is_flag=True, help="Do not ask the identity provider to end each token.")
@dry_option
@click.option("--yes", is_flag=True, help="Do it without asking.")
@as_json
@located
def remove(*, where: Where, name: str, no_revoke: bool, dry_run: bool, yes: bool, json_wanted: bool) -> None:
    """Remove an identity provider, the connectors that are provisioned there, and all tokens of it.

    Says first what would be gone, and asks. Where it is cut off, the same line with --yes finishes what is left.
    """
    told_or_agreed(json_wanted, dry_run=dry_run, yes=yes)
    auth = where.auth()
    if dry_run or not yes:
        told = _call(auth, name, Removal(dry_run=True))
        if json_wanted:
            click.echo(msgspec.json.encode(told))
            return
        if dry_run:
            click.echo("Nothing was changed. This would happen:\n")
        _show(told)
        if dry_run:
            return
        somebody_to_ask(f"remove {name}")
        if not click.confirm(f"\nRemove {name}?"):
            click.echo("Nothing was removed.")
            return
    done = _removed(auth, name, Removal(revoke=not no_revoke))
    if json_wanted:
        click.echo(msgspec.json.encode(done))
        return
    click.echo(f"Removed {name}. Cleared {_tokens(done.tokens)}, ended {done.sessions} sessions.")
    for outcome, number in sorted(done.revoked.items()):
        click.echo(f"  at the provider, {outcome}: {number}")
    for connector in done.connectors:
        click.echo(f"  no longer provisioned: {connector}")


def _removed(auth: Api, name: str, asked: Removal) -> RemovedIdp:
    """Part after part, until nothing is left; all parts as one."""
    tokens = sessions = 0
    outcomes, connectors = Counter[str](), dict[str, None]()
    for _ in range(MOST_CALLS):
        found = _call(auth, name, asked)
        tokens, sessions = tokens + found.tokens, sessions + (found.sessions or 0)
        outcomes.update(found.revoked)
        connectors |= dict.fromkeys(found.connectors)
        if found.next is None:
            gone = tuple(connectors)
            return replace(found, tokens=tokens, sessions=sessions, revoked=dict(outcomes), connectors=gone)
        asked = replace(asked, after=found.next)
    raise refused("There is no end of tokens to clear", "Give the same line again")


def _call(auth: Api, name: str, asked: Removal) -> RemovedIdp:
    return auth.call("POST", f"/v1/idps/{quote(name, safe='')}/removed", body=asked).decoded(RemovedIdp)


def _show(told: RemovedIdp) -> None:
    click.echo(
        f"This takes {_tokens(told.tokens)} out of use: nobody can log in at {told.idp}, and no app calls there."
    )
    click.echo(f"What apps were granted there ends. On the worklist there now, and then no more: {told.must_consent}.")
    click.echo(f"Provisioned there, and then no more: {' '.join(told.connectors) or 'nothing'}.")


def _tokens(number: int) -> str:
    return f"the token of {number} user{'' if number == 1 else 's'}"
