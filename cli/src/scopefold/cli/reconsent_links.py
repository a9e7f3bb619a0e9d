"""`scopefold reconsent link`: links that take users to the consent that is missing, for whoever sends mail."""

from datetime import UTC, datetime
from typing import Final

import click
import msgspec
from msgspec import Struct

from scopefold.cli.api import Api
from scopefold.cli.failure import usage
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located
from scopefold.cli.worklist import PAGE, ask

AT_ONCE: Final = 100
MOST: Final = 100_000
DAY_SECONDS: Final = 86400


class UserLink(Struct, frozen=True):
    """A link for one user."""

    user: str
    url: str


class NoLink(Struct, frozen=True):
    """A user for whom there is none, and why."""

    user: str
    why: str


class Links(Struct, frozen=True):
    """Links, and until when they are good, in seconds since 1970."""

    items: tuple[UserLink, ...]
    without: tuple[NoLink, ...]
    until: int


class _Wanted(Struct, frozen=True):
    users: tuple[str, ...]
    idp: str
    lifetime_seconds: int


@click.command("link")
@click.argument("users", nargs=-1, metavar="[USER]...")
@click.option("--idp", required=True, help="The identity provider at which they must consent.")
@click.option("--all", "everyone", is_flag=True, help="Everybody on its worklist.")
@click.option("--days", type=click.IntRange(1, 30), default=7, show_default=True, help="How long they are good for.")
@as_json
@located
def link(*, where: Where, users: tuple[str, ...], idp: str, everyone: bool, days: int, json_wanted: bool) -> None:
    """Make a link for each user that says what is missing and why, and leads through their login. Nothing is sent."""
    if bool(users) == everyone:
        raise usage("Nobody is named" if not users else "Users and --all contradict each other", "Name users, or --all")
    auth = where.auth()
    wanted = _everybody(auth, idp) if everyone else users
    items: list[UserLink] = []
    without: list[NoLink] = []
    until = 0
    for start in range(0, len(wanted), AT_ONCE):
        body = _Wanted(wanted[start : start + AT_ONCE], idp, days * DAY_SECONDS)
        made = auth.call("POST", "/v1/reconsent/links", body=body).decoded(Links)
        items += made.items
        without += made.without
        until = made.until
    if json_wanted:
        click.echo(msgspec.json.encode(Links(tuple(items), tuple(without), until)))
        return
    show_table(["user", "link"], [[one.user, one.url] for one in items], empty="There is no link to send.")
    if items:
        click.echo(f"\nGood until {instant(datetime.fromtimestamp(until, UTC))}.")
    for one in without:
        click.echo(f"No link for {one.user}: {WHY.get(one.why, one.why)}.")


WHY: Final = {
    "unknown-user": "nobody has this id",
    "not-on-worklist": "nothing is missing there",
    "operator-first": "an operator must act first, see `scopefold reconsent show`",
}


def _everybody(auth: Api, idp: str) -> tuple[str, ...]:
    """All users on the worklist of an IdP."""
    found, cursor = list[str](), dict[str, str]()
    while len(found) < MOST:
        page = ask(auth, idp=idp, limit=str(PAGE), **cursor)
        found += [row.user for row in page.items]
        if page.next is None:
            return tuple(found)
        cursor = {"cursor": page.next}
    raise usage(f"There are more than {MOST} users", "Name some, as `scopefold reconsent export` lists them")
