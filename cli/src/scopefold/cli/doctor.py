"""`scopefold idp doctor`: what is wrong with an identity provider, and who can mend it how."""

from typing import Final
from urllib.parse import quote

import click
from msgspec import Struct

from scopefold.cli.table import instant
from scopefold.cli.where import Where, as_json, at_option, located
from scopefold.contracts.recorded import AsOf
from scopefold.scopes.diagnosis import Diagnosis
from scopefold.scopes.errors import Paste, Who

MARKS: Final = {"good": "ok", "doubtful": "look", "wrong": "WRONG", "not-known": "?"}
WHO: Final[dict[Who, str]] = {
    "user": "The user can mend it",
    "operator": "You can mend it",
    "provider-admin": "An administrator at the provider can mend it",
    "nobody": "It passes by itself",
}


class Check(Struct, frozen=True):
    """One thing that was looked at."""

    check: str
    verdict: str
    says: str
    diagnosis: Diagnosis | None = None
    paste: tuple[Paste, ...] = ()


class Checkup(Struct, frozen=True):
    """Everything that was looked at."""

    as_of: AsOf
    idp: str
    wrong: int
    doubtful: int
    checks: tuple[Check, ...]


@click.command("doctor")
@click.argument("name", metavar="IDP")
@click.option("--callback", metavar="URL", help="The callback address as the app's console shows it.")
@click.option("--seen", metavar="TEXT", help="Words or the address of an error page that somebody saw.")
@click.option("--no-probe", is_flag=True, help="Ask nothing of the provider itself.")
@at_option
@as_json
@located
def doctor(
    *,
    where: Where,
    name: str,
    callback: str | None,
    seen: str | None,
    no_probe: bool,
    at: str | None,
    json_wanted: bool,
) -> int:
    """Look for what is wrong with an identity provider, without a user. Exit code 1: something is.

    With --at: what the log could tell then; nothing is asked of the provider.
    """
    asked = {"callback": callback, "seen": seen, "probe": "false" if no_probe else None, "at": at}
    params = {key: value for key, value in asked.items() if value is not None}
    reply = where.auth().call("GET", f"/v1/idps/{quote(name, safe='')}/doctor", params=params)
    found = reply.decoded(Checkup)
    if json_wanted:
        click.echo(reply.body)
    else:
        _show(found)
    return 1 if found.wrong else 0


def _show(found: Checkup) -> None:
    if found.as_of.at is not None:
        click.echo(f"{found.idp}, as of event {found.as_of.seq} ({instant(found.as_of.at)}):")
    for one in found.checks:
        click.echo(f"{MARKS.get(one.verdict, '?'):5}  {one.check}: {one.says}")
        if (told := one.diagnosis) is not None:
            click.echo(f"       Likely cause: {told.cause}")
            click.echo(f"       {WHO[told.who]}: {told.how}")
            for also in told.also:
                click.echo(f"       Or else: {also}")
            click.echo(f"       ({told.id}, {told.basis})")
        for paste in one.paste:
            click.echo(f"       {paste.label}:\n         {paste.value}")
    unknown = sum(one.verdict == "not-known" for one in found.checks)
    click.echo(f"{found.wrong} wrong, {found.doubtful} worth a look, {unknown} not known.")
