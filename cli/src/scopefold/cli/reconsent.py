"""`scopefold reconsent`: which users must consent again, to what, since when and because of what?"""

from collections.abc import Iterator, Mapping
from typing import Final, get_args

import click
import msgspec

from scopefold.cli.answers import Counts, ListedRow, Worklist
from scopefold.cli.commands import Group
from scopefold.cli.names import names_told
from scopefold.cli.reconsent_export import export
from scopefold.cli.reconsent_links import link
from scopefold.cli.sealed import segments_option
from scopefold.cli.sealed_worklist import Groups, sealed_counts, sealed_worklist
from scopefold.cli.table import instant, plain, show_table
from scopefold.cli.where import Where, as_json, at_option, located
from scopefold.cli.worklist import PAGE, ask, narrowed
from scopefold.consent.chosen import Order
from scopefold.consent.reconsent import Row
from scopefold.consent.tallies import By

MOST_PAGES = 20_000


@click.group(cls=Group)
def reconsent() -> None:
    """Who must consent again?"""


for part in (export, link):
    reconsent.add_command(part)


from_segments = segments_option("Answer from these sealed segments alone, without the service.")


@reconsent.command("list")
@narrowed
@click.option("--sort", type=click.Choice(get_args(Order)), default="idp", show_default=True)
@click.option("--limit", type=click.IntRange(1, PAGE), default=50, show_default=True, help="At most so many users.")
@click.option("--all", "everyone", is_flag=True, help="All users, however many.")
@from_segments
@as_json
@located
def list_(
    *,
    where: Where,
    asked: dict[str, str],
    sort: Order,
    limit: int,
    everyone: bool,
    place: str | None,
    json_wanted: bool,
) -> None:
    """List the users who must consent again: to what, because of which connector, since when, and what is next."""
    if place is not None:
        found = sealed_worklist(place, where, asked, order=sort, limit=None if everyone else limit)
    else:
        found = _from_service(where, {**asked, "sort": sort}, limit=limit, everyone=everyone)
    if json_wanted:
        click.echo(msgspec.json.encode(found))
    else:
        show(found, asked)


def _from_service(where: Where, asked: dict[str, str], *, limit: int, everyone: bool) -> Worklist:
    auth = where.auth()
    found = ask(auth, **asked, limit=str(PAGE if everyone else limit))
    items = list(found.items)
    page = found
    for _ in range(MOST_PAGES):
        if not everyone or page.next is None:
            break
        # Later pages are asked for as of the first one, so that all of them tell of one moment.
        page = ask(auth, **{"at": str(found.as_of.seq), **asked}, limit=str(PAGE), cursor=page.next)
        items += page.items
    return msgspec.structs.replace(found, items=tuple(items), next=page.next)


@reconsent.command("show")
@click.argument("user")
@click.option("--idp", help="At this identity provider alone.")
@at_option
@from_segments
@as_json
@located
def show_user(
    *, where: Where, user: str, idp: str | None, at: str | None, place: str | None, json_wanted: bool
) -> None:
    """Show all that is known of why one user must consent again, and what happens next."""
    asked = {name: value for name, value in {"user": user, "idp": idp, "at": at}.items() if value is not None}
    found = ask(where.auth(), **asked) if place is None else sealed_worklist(place, where, asked)
    if json_wanted:
        click.echo(msgspec.json.encode(found))
        return
    click.echo(summary(found, asked))
    for row in found.items:
        for line in explained(row):
            click.echo(plain(line))


@reconsent.command("count")
@narrowed
@click.option("--by", type=click.Choice([*get_args(By), *get_args(Groups)]), help="Parted by this.")
@from_segments
@as_json
@located
def count(where: Where, asked: dict[str, str], by: By | Groups | None, place: str | None, json_wanted: bool) -> None:
    """Count the users who must consent again. Parted by what, it can be narrowed by --idp, --connector and --scope."""
    if by is not None:
        counts = _counted(where, asked, by) if place is None else sealed_counts(place, where, asked, by)
        if json_wanted:
            click.echo(msgspec.json.encode(counts))
            return
        parts = [[] if by == "idp" else [one.name or "the IdP itself"] for one in counts.items]
        counted = [[one.idp, *part, str(one.users)] for one, part in zip(counts.items, parts, strict=True)]
        show_table(["idp", *([] if by == "idp" else [by]), "users"], counted, empty="Nobody must consent again.")
        return
    found = ask(where.auth(), **asked, limit="1") if place is None else sealed_worklist(place, where, asked, limit=0)
    if json_wanted:
        click.echo(msgspec.json.encode({"as_of": found.as_of, "total": found.total, "unknown": found.unknown}))
    else:
        click.echo(summary(found, asked))


def _counted(where: Where, asked: dict[str, str], by: str) -> Counts:
    with names_told():
        return where.auth().call("GET", "/v1/reconsent/counts", params={**asked, "by": by}).decoded(Counts)


def summary(found: Worklist, asked: Mapping[str, str]) -> str:
    """The worklist, narrowed as was asked, in one sentence. A row is a user at an IdP: some users have several."""
    users, times = found.total, ""
    if len(found.items) == found.total:
        users = len({row.user for row in found.items})
        times = f", {found.total} times in all: once at each IdP" if users < found.total else ""
    elif "idp" not in asked:
        times = ", counted at each IdP"
    who = {0: "Nobody must", 1: "1 user must"}.get(users, f"{users} users must")
    when = f" ({instant(found.as_of.at)})" if found.as_of.at else ""
    unknown = f"; of {found.unknown} more it is not known" if found.unknown else ""
    return f"{who} consent again{times}, as of event {found.as_of.seq}{when}{unknown}."


def show(found: Worklist, asked: Mapping[str, str]) -> None:
    """Print a worklist for people, a line for each user at an IdP."""
    click.echo(summary(found, asked))
    if not found.items:
        return
    click.echo()
    rows = [
        [
            *(row.user, row.idp, scopes_of(row), connectors_of(row), why(row), next_of(row)),
            *(instant(row.since.at), str(row.since.seq), instant(row.dies.at) if row.dies else ""),
        ]
        for row in found.items
    ]
    headers = ["user", "idp", "missing scopes", "because of", "why", "next", "since", "event", "token dies"]
    show_table(headers, rows, empty="")
    if len(found.items) < found.total:
        click.echo(f"\n{len(found.items)} of {found.total} shown; --all shows all.")


def scopes_of(row: Row) -> str:
    """What the user must consent to."""
    return " ".join(lack.scope for lack in row.missing)


WHY: Final = {
    "never-asked": "not asked yet",
    "not-allowed": "did not allow it",
    "not-given": "the provider's app lacks it",
    "not-renewed": "left out when the token was renewed",
    "disproved": "a call failed without it",
    "cleared": "the token is gone",
}


def why(row: ListedRow) -> str:
    """Why the grant lacks it, and so who can mend that."""
    told = ", ".join(dict.fromkeys(WHY.get(one, one) for one in row.why.values()))
    if row.declined is not None:
        told += f"; said no at {instant(row.declined.cause.at)}"
    return told if row.asked_from is None else f"{told}; asked for from {instant(row.asked_from)}"


NEXT: Final = {
    "next-login": "asked at the next login",
    "send-link": "send a link",
    "restore": "an operator must restore it",
    "mend-app": "the provider's app must get it",
    "register-idp": "the IdP must be registered",
}
KNOWN_BY: Final = {
    "echoed": "the IdP said so",
    "assumed": "the IdP did not say: taken as asked",
    "probed": "it was looked up",
    "disproved": "the IdP said so, and a call has shown otherwise",
}
DIES: Final = {
    "idle": "unless it is used before",
    "absolute": "whatever is done",
    "access": "nothing came to renew it with",
}


def next_of(row: ListedRow) -> str:
    """What happens next."""
    return ", ".join(dict.fromkeys(NEXT.get(one, one) for one in row.next_steps.values()))


def explained(row: ListedRow) -> Iterator[str]:
    """Everything that is known of one row, a line each."""
    yield ""
    yield f"{row.user} at {row.idp}, since {instant(row.since.at)}, event {row.since.seq}"
    for lack in row.missing:
        yield f"  {lack.scope}: {WHY.get(row.why.get(lack.scope, ''), '?')}"
        for because in lack.because:
            who = f"{because.connector} {because.version or ''}".rstrip() if because.connector else "the IdP itself"
            yield f"    needed by {who}, since {instant(because.cause.at)}, event {because.cause.seq}"
        for report in row.reports:
            if lack.scope in report.missing:
                seen = f"since {instant(report.cause.at)}, event {report.cause.seq}"
                yield f"    missed by {report.publisher} for {report.resource_type}, {seen}"
        yield f"    next: {NEXT.get(row.next_steps.get(lack.scope, ''), '?')}"
    if row.declined is not None:
        cause = row.declined.cause
        yield f"  asked on the IdP's page, and said no to all of it: event {cause.seq} of {instant(cause.at)}"
    granted = KNOWN_BY.get(row.known_by, row.known_by)
    if row.cleared is not None:
        granted = f"there is no token ({row.cleared.reason})"
    yield f"  what is granted: {granted}, event {row.stored.seq} of {instant(row.stored.at)}"
    if row.dies is not None:
        yield f"  the token dies at {instant(row.dies.at)}, {DIES[row.dies.by]}"


def connectors_of(row: Row) -> str:
    """Who needs it, and who has met a token without it."""
    needing = [because.connector or "the IdP itself" for lack in row.missing for because in lack.because]
    missing = {lack.scope for lack in row.missing}
    reporting = [f"seen by {report.publisher}" for report in row.reports if missing & set(report.missing)]
    return ", ".join(dict.fromkeys(needing + reporting))
