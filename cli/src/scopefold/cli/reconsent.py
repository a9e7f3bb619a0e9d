"""`scopefold reconsent`: which users must consent again, to what, since when and because of what?"""

from typing import Final

import click
import msgspec

from scopefold.cli.answers import ListedRow, Worklist
from scopefold.cli.api import Api
from scopefold.cli.sealed import segments_option
from scopefold.cli.sealed_worklist import sealed_worklist
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, at_option, located
from scopefold.consent.reconsent import Row

PAGE = 500
MOST_PAGES = 20_000


@click.group()
def reconsent() -> None:
    """Who must consent again?"""


from_segments = segments_option("Answer from these sealed segments alone, without the service.")


@reconsent.command("list")
@click.option("--idp", help="At this identity provider alone.")
@at_option
@click.option("--limit", type=click.IntRange(1, PAGE), default=50, show_default=True, help="At most so many users.")
@click.option("--all", "everyone", is_flag=True, help="All users, however many.")
@from_segments
@as_json
@located
def list_(
    *, where: Where, idp: str | None, at: str | None, limit: int, everyone: bool, place: str | None, json_wanted: bool
) -> None:
    """List the users who must consent again: to what, because of which connector, since which event."""
    if place is not None:
        found = sealed_worklist(place, where, idp=idp, at=at, limit=None if everyone else limit)
    else:
        found = _from_service(where, idp=idp, at=at, limit=limit, everyone=everyone)
    if json_wanted:
        click.echo(msgspec.json.encode(found))
    else:
        show(found)


def _from_service(where: Where, *, idp: str | None, at: str | None, limit: int, everyone: bool) -> Worklist:
    auth = where.auth()
    found = ask(auth, idp=idp, at=at, limit=PAGE if everyone else limit)
    items = list(found.items)
    page = found
    for _ in range(MOST_PAGES):
        if not everyone or page.next is None:
            break
        # Later pages are asked for as of the first one, so that all of them tell of one moment.
        page = ask(auth, idp=idp, at=at or str(found.as_of.seq), limit=PAGE, cursor=page.next)
        items += page.items
    return msgspec.structs.replace(found, items=tuple(items), next=page.next)


@reconsent.command("count")
@click.option("--idp", help="At this identity provider alone.")
@at_option
@from_segments
@as_json
@located
def count(where: Where, idp: str | None, at: str | None, place: str | None, json_wanted: bool) -> None:
    """Count the users who must consent again."""
    if place is not None:
        found = sealed_worklist(place, where, idp=idp, at=at, limit=0)
    else:
        found = ask(where.auth(), idp=idp, at=at, limit=1)
    if json_wanted:
        counted = {"as_of": found.as_of, "total": found.total, "unknown": found.unknown}
        click.echo(msgspec.json.encode(counted))
    else:
        click.echo(summary(found))


def ask(auth: Api, *, idp: str | None, at: str | None, limit: int, cursor: str | None = None) -> Worklist:
    """One page of the worklist."""
    wanted = {"idp": idp, "at": at, "limit": str(limit), "cursor": cursor}
    params = {name: value for name, value in wanted.items() if value is not None}
    return auth.call("GET", "/v1/reconsent", params=params).decoded(Worklist)


def summary(found: Worklist) -> str:
    """The worklist in one sentence."""
    who = {0: "Nobody must", 1: "1 user must"}.get(found.total, f"{found.total} users must")
    when = f" ({instant(found.as_of.at)})" if found.as_of.at else ""
    unknown = f"; of {found.unknown} more it is not known" if found.unknown else ""
    return f"{who} consent again, as of event {found.as_of.seq}{when}{unknown}."


def show(found: Worklist) -> None:
    """Print a worklist for people, a line for each user."""
    click.echo(summary(found))
    if not found.items:
        return
    click.echo()
    rows = [
        [row.user, row.idp, scopes_of(row), connectors_of(row), why(row), instant(row.since.at), str(row.since.seq)]
        for row in found.items
    ]
    show_table(["user", "idp", "missing scopes", "because of", "why", "since", "event"], rows, empty="")
    if len(found.items) < found.total:
        click.echo(f"\n{len(found.items)} of {found.total} shown; --all shows all.")


def scopes_of(row: Row) -> str:
    """What the user must consent to."""
    return " ".join(lack.scope for lack in row.missing)


WHY: Final = {
    "never-asked": "not asked yet",
    "not-allowed": "did not allow it",
    "not-given": "the provider's app lacks it",
    "disproved": "a call failed without it",
    "cleared": "the token is gone",
}


def why(row: ListedRow) -> str:
    """Why the grant lacks it, and so who can mend that."""
    told = ", ".join(dict.fromkeys(WHY.get(one, one) for one in row.why.values()))
    return told if row.asked_from is None else f"{told}; asked for from {instant(row.asked_from)}"


def connectors_of(row: Row) -> str:
    """Who needs it, and who has met a token without it."""
    needing = [because.connector or "the IdP itself" for lack in row.missing for because in lack.because]
    missing = {lack.scope for lack in row.missing}
    reporting = [f"seen by {report.publisher}" for report in row.reports if missing & set(report.missing)]
    return ", ".join(dict.fromkeys(needing + reporting))
