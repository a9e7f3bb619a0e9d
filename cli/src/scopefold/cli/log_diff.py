"""`scopefold log diff`: who entered the worklist, who left it, and what IdPs are asked for, between two moments."""

import asyncio
from collections.abc import Sequence
from typing import Final

import click
import msgspec
from msgspec.structs import asdict

from scopefold.cli.connected import connected
from scopefold.cli.folded import place_of
from scopefold.cli.names import names_told
from scopefold.cli.reach import ANALYST, Reach
from scopefold.cli.reconsent import connectors_of, scopes_of
from scopefold.cli.sealed import segments_option
from scopefold.cli.sealed_log import in_order, sealed_diff
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located
from scopefold.consent.difference import Changed, Diff, IdpChange, Left, Moved, Reason, difference
from scopefold.consent.named import look_up_in_either
from scopefold.consent.reconsent import EMPTY, Row, State, fold_into
from scopefold.contracts.recorded import AsOf, Recorded
from scopefold.contracts.subjects import OF_IDPS
from scopefold.ledger.events import events
from scopefold.ledger.log import Log

NOW: Final = {
    "covered": "covers everything",
    "unknown": "not known",
    "erased": "erased",
    "removed": "identity provider removed",
}


@click.command("diff")
@click.argument("first", metavar="MOMENT")
@click.argument("second", metavar="[MOMENT]", required=False)
@click.option("--idp", help="At this identity provider alone.")
@click.option(
    "--limit", type=click.IntRange(0, 100_000), default=50, show_default=True, help="List at most so many of each."
)
@segments_option("Answer from these sealed segments alone, without the bus.")
@as_json
@located
def diff(
    *,
    where: Where,
    first: str,
    second: str | None,
    idp: str | None,
    limit: int,
    place: str | None,
    json_wanted: bool,
) -> None:
    """Show what changed from one moment to a later one, or to now: who must consent again, and what IdPs are asked for.

    A moment is a sequence of the log, an RFC 3339 time, or the id of an event. Now is the end of the segments, where
    these are asked.
    """
    if place is not None:
        found = sealed_diff(place, where, first, second, idp=idp, limit=limit)
    else:
        found = asyncio.run(_diff(where.bus(ANALYST), where.tenant, first, second, idp=idp, limit=limit))
    if json_wanted:
        click.echo(msgspec.json.encode(found))
    else:
        _show(found)


async def _diff(reach: Reach, tenant: str, first: str, second: str | None, *, idp: str | None, limit: int) -> Diff:
    async with connected(reach) as log:
        begin, end = await place_of(log, first), await place_of(log, second)
        in_order(begin, end)
        before, _ = await _folded(log, tenant, EMPTY, 0, begin.seq)
        after, between = await _folded(log, tenant, before, begin.seq, end.seq)
    with names_told():
        look_up_in_either(before.scopes, after.scopes, end, idp)
    found = difference(before, after, between, idp=idp, limit=limit)
    return Diff(first=begin, second=end, **asdict(found))


async def _folded(log: Log, tenant: str, state: State, after: int, until: int) -> tuple[State, list[Recorded]]:
    """The state after more of the log, and what in it concerned IdPs. Users who stay as they are cost nothing more."""
    scopes, grants, of_idps = state.scopes, dict(state.grants), list[Recorded]()
    async for part in events(log, tenant, after=after, until=until):
        for one in part:
            scopes = fold_into(grants, scopes, one)
        of_idps += [one for one in part if type(one.event) in OF_IDPS]
    return State(scopes, grants), of_idps


def _show(found: Diff) -> None:
    totals = found.totals
    click.echo(
        f"From {_words(found.first)} to {_words(found.second)}, the worklist went from {totals.before} to "
        f"{totals.after}: {totals.entered} entered it, {totals.left} left it, {totals.changed} changed on it."
    )
    for change in found.idps:
        _show_idp(change)
    _section("Entered", totals.entered, [_entered(row) for row in found.entered], ["lacks", "because of", "since"])
    _section("Left", totals.left, [_left(one) for one in found.left], ["lacked", "now", "because of"])
    _section("Changed", totals.changed, [_changed(one) for one in found.changed], ["lacked", "lacks", "because of"])


def _show_idp(change: IdpChange) -> None:
    for what, moved in (
        ("is asked for", change.union),
        ("is asked no more for", change.pruned),
        ("needs", change.needed),
        ("needs no more", change.unneeded),
        ("leaves out", change.withheld),
        ("asks again for", change.restored),
    ):
        by_reasons: dict[str, list[str]] = {}
        for one in moved:
            by_reasons.setdefault(_reasons(one), []).append(one.scope)
        for reasons, scopes in by_reasons.items():
            click.echo(f"{change.idp} {what} {' '.join(scopes)}: {reasons}.")


def _section(title: str, total: int, rows: Sequence[list[str]], headers: Sequence[str]) -> None:
    if not total:
        return
    click.echo(f"\n{title}: {total}{'' if len(rows) == total else f', of whom {len(rows)} are shown'}")
    if rows:
        show_table(["user", "idp", *headers], rows, empty="")


def _entered(row: Row) -> list[str]:
    return [row.user, row.idp, scopes_of(row), connectors_of(row), f"event {row.since.seq} of {instant(row.since.at)}"]


def _left(one: Left) -> list[str]:
    why = _reason(one.reason) if one.reason else f"the user's token, event {one.stored.seq} of {instant(one.stored.at)}"
    return [one.was.user, one.was.idp, scopes_of(one.was), NOW[one.now], why]


def _changed(one: Changed) -> list[str]:
    was, now = one.was, one.now
    why = [f"token cleared ({now.cleared.reason})" if now.cleared else connectors_of(now)]
    if [(one.scope, one.times) for one in was.ungiven] != [(one.scope, one.times) for one in now.ungiven]:
        why.append("asked for in vain")
    if now.declined not in (None, was.declined):
        why.append("said no")
    return [now.user, now.idp, scopes_of(was), scopes_of(now), ", ".join(why)]


def _reasons(moved: Moved) -> str:
    return ", ".join(_reason(one) for one in moved.because) or "no event says why"


def _reason(reason: Reason) -> str:
    about = f" {reason.connector}" if reason.connector else ""
    return f"{reason.event}{about}, event {reason.cause.seq} of {instant(reason.cause.at)}"


def _words(one: AsOf) -> str:
    return f"event {one.seq} ({instant(one.at)})" if one.at else "the log's beginning"
