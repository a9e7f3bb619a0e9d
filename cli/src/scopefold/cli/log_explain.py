"""`scopefold log explain`: how one user's grant at one identity provider came to be what it is."""

import asyncio

import click
import msgspec

from scopefold.cli.connected import connected
from scopefold.cli.failure import usage
from scopefold.cli.folded import place_of
from scopefold.cli.names import names_told
from scopefold.cli.reach import ANALYST, Reach
from scopefold.cli.sealed import segments_option
from scopefold.cli.sealed_log import sealed_story
from scopefold.cli.table import instant, plain
from scopefold.cli.where import Where, as_json, at_option, located
from scopefold.consent.named import no_such_user
from scopefold.consent.story import Explained, Story, explained, tell
from scopefold.contracts.recorded import AsOf
from scopefold.contracts.words import IdpId, UserId
from scopefold.ledger.events import events_of_user, names_user


@click.command("explain")
@click.argument("user", metavar="USER")
@click.argument("idp", metavar="IDP")
@at_option
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Tell at most so many, the latest."
)
@segments_option("Answer from these sealed segments alone, without the bus.")
@as_json
@located
def explain(
    *, where: Where, user: str, idp: str, at: str | None, limit: int, place: str | None, json_wanted: bool
) -> None:
    """Tell the story of one user's grant: what was needed, asked for, granted, refused, reported, and what is now."""
    for value, kind, called in ((user, UserId, "user id"), (idp, IdpId, "identity provider")):
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise usage(f"No {called} can be called so", str(error)) from None
    if place is not None:
        as_of, story = sealed_story(place, where, user, idp, at)
    else:
        as_of, story = asyncio.run(_told(where.bus(ANALYST), where.tenant, user, idp, at))
    found = explained(story, as_of, limit)
    if json_wanted:
        click.echo(msgspec.json.encode(found))
    else:
        _show(found)


async def _told(reach: Reach, tenant: str, user: str, idp: str, at: str | None) -> tuple[AsOf, Story]:
    async with connected(reach) as log:
        until = await place_of(log, at)
        found = await events_of_user(log, tenant, user, idp, until=until.seq)
        with names_told():
            if not any(one.names(user) for one in found) and not await names_user(log, tenant, user):
                raise no_such_user(user)
        return until, tell(user, idp, found)


def _show(found: Explained) -> None:
    when = f" ({instant(found.as_of.at)})" if found.as_of.at else ""
    click.echo(f"{found.user} at {found.idp}, as of event {found.as_of.seq}{when}:")
    if found.total > len(found.lines):
        click.echo(f"(the latest {len(found.lines)} of {found.total}; --limit tells more)")
    width = max((len(str(line.seq)) for line in found.lines), default=0)
    for line in found.lines:
        says = plain(line.says)
        if line.until is not None:
            says = f"{says.rstrip('.')}, {line.times} times until {instant(line.until.at)}."
        click.echo(f"{line.seq:>{width}}  {instant(line.at)}  {says}  [{line.event_id}]")
        if line.then:
            click.echo(f"{'':{width}}  {'':20}  -> {plain(line.then)}")
    click.echo(f"\nNow: {plain(found.present.says)}")
