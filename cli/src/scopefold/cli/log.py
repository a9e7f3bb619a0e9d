"""`scopefold log`: read the log, follow it, and check that it is whole."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta

import click
import msgspec
from msgspec import Struct

from scopefold.cli.commands import Group
from scopefold.cli.connected import connected
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import refused, usage
from scopefold.cli.log_diff import diff
from scopefold.cli.log_explain import explain
from scopefold.cli.names import never_there
from scopefold.cli.reach import ANALYST, Reach
from scopefold.cli.sealed import chain_at, moment_of, segments_option, store_at, told_plainly
from scopefold.cli.sealed import now as the_time
from scopefold.cli.segments import seal, segments
from scopefold.cli.sql import sql
from scopefold.cli.table import instant, plain, show_table, table
from scopefold.cli.where import Where, as_json, located
from scopefold.contracts.events import Event, name_of, tag_of
from scopefold.contracts.recorded import PUBLISHERS, AsOf, Quarantined, Recorded, examine
from scopefold.contracts.subjects import LEDGER, shard_of
from scopefold.ledger.events import events_of_idps
from scopefold.ledger.follow import GENESIS, Checkpoint, LogReplaced, catch_up, follow
from scopefold.ledger.log import Log, status
from scopefold.ledger.moment import Moment
from scopefold.ledger.moments import resolve
from scopefold.ledger.read import read

Pages = AsyncIterator[list[Recorded | Quarantined]]
Resolved = Callable[[Moment], Awaitable[int]]
"""The last sequence at a moment."""


class EventLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the log, as a line of JSON: an event, or the reason why it is none."""

    seq: int
    at: datetime
    tenant: str = ""
    event_id: str = ""
    publisher: str = ""
    event: Event | None = None
    subject: str = ""
    quarantined: str = ""


class Verified(Struct, frozen=True, kw_only=True):
    """What reading the whole log found. The log is whole: a gap would have been a failure."""

    created: datetime
    messages: int
    last_seq: int
    running_hash: str
    quarantined: tuple[Quarantined, ...]


class Wanted(Struct, frozen=True, kw_only=True):
    """Which events are shown."""

    type: str | None
    user: str | None
    idp: str | None

    def has(self, one: Recorded | Quarantined) -> bool:
        """Is it wanted? What is no event is shown only where nothing is filtered."""
        if isinstance(one, Quarantined):
            return self.type is None and self.user is None and self.idp is None
        event = one.event
        names = (name_of(type(event)), tag_of(type(event)))
        return (
            (self.type is None or self.type in names)
            and (self.user is None or one.names(self.user))
            and (self.idp is None or self.idp == event.idp)
        )


@click.group(cls=Group)
def log() -> None:
    """Read the log, follow it, check it; what changed in it, and how one grant came to be what it is."""


for part in (diff, explain, seal, segments, sql):
    log.add_command(part)

since_option = click.option("--since", metavar="MOMENT", help="First moment: a time, a sequence, or an event's id.")


def _known_type(_context: click.Context, _flag: click.Parameter, kind: str | None) -> str | None:
    """A name that is mistyped must not read as if nothing of the kind had ever happened."""
    if kind is not None and all(kind not in (name_of(one), tag_of(one)) for one in PUBLISHERS):
        names = ", ".join(sorted(map(name_of, PUBLISHERS)))
        raise usage("There is no such type of event", f"{plain(kind[:80])}. There are {names}")
    return kind


type_option = click.option(
    "--type", "kind", metavar="TYPE", callback=_known_type, help="Such as token-stored, or token-stored.v1."
)
user_option = click.option("--user", help="What concerns this user.")
idp_option = click.option("--idp", help="What concerns this identity provider.")


@log.command("read")
@click.option("--from", "first", type=click.IntRange(1), default=1, show_default=True, help="First sequence.")
@click.option("--to", "last", type=click.IntRange(1), help="Last sequence. Default: the end.")
@since_option
@click.option("--until", metavar="MOMENT", help="Last moment: a time, a sequence, or an event's id.")
@type_option
@user_option
@idp_option
@segments_option("Read these sealed segments alone, without the bus.")
@as_json
@located
def read_(
    *,
    where: Where,
    first: int,
    last: int | None,
    since: str | None,
    until: str | None,
    kind: str | None,
    user: str | None,
    idp: str | None,
    place: str | None,
    json_wanted: bool,
) -> None:
    """Print events, oldest first. With --json: JSON Lines.

    Where there are none, and the log knows no such identity provider or user, standard error says so.
    """
    wanted = Wanted(type=kind, user=user, idp=idp)
    begin, end = moment_of(since), moment_of(until)

    async def bounds(resolved: Resolved) -> tuple[int, int | None]:
        begun = max(first, await _first_since(resolved, begin))
        ends = [last] if end is None else [last, await resolved(end)]
        return begun, min([one for one in ends if one is not None], default=None)

    async def reading(pages: Pages) -> bool:
        """Was there any?"""
        met = False
        async for page in pages:
            shown = [one for one in page if wanted.has(one)]
            show(shown, json_wanted)
            met = met or bool(shown)
        return met

    async def from_bus() -> None:
        with told_plainly():
            async with connected(where.bus(ANALYST)) as handle:
                begun, ended = await bounds(lambda moment: resolve(handle, moment, the_time()))
                within = ended is None or begun <= ended
                if not (within and await reading(_pages(handle, begun, ended, where.tenant, user))):
                    end = (await status(handle)).last_seq
                    _nothing(wanted, end, [] if idp is None else await events_of_idps(handle, where.tenant, until=end))

    async def from_segments(place: str) -> None:
        async with chain_at(place, where) as chain:
            begun, ended = await bounds(lambda moment: resolve_in(chain, moment, the_time()))
            if not await reading(messages_in(chain, sought, after=begun - 1, until=ended)):
                end = chain.last_seq
                _nothing(wanted, end, [] if idp is None else await events_of_idps_in(chain, until=end))

    if place is None:
        asyncio.run(from_bus())
        return
    with analysis_part():
        from scopefold.ledger.segment_events import Sought, events_of_idps_in, messages_in
        from scopefold.ledger.segment_moments import resolve_in
    sought = Sought(user=user, idp=idp, types=frozenset({kind}) if kind is not None else None)
    asyncio.run(from_segments(place))


@log.command("follow")
@click.option("--from", "first", type=click.IntRange(1), help="Begin at this sequence. Default: at the next event.")
@since_option
@type_option
@user_option
@idp_option
@as_json
@located
def follow_(
    *,
    where: Where,
    first: int | None,
    since: str | None,
    kind: str | None,
    user: str | None,
    idp: str | None,
    json_wanted: bool,
) -> None:
    """Print events as they come, until Ctrl-C. With --json: JSON Lines.

    Where the log so far knows no such identity provider or user, standard error says so: it may still come.
    """
    wanted = Wanted(type=kind, user=user, idp=idp)
    begin = moment_of(since)

    async def print_them(page: Sequence[Recorded | Quarantined], _: Checkpoint) -> None:
        show([one for one in page if wanted.has(one)], json_wanted)

    async def following() -> None:
        async with connected(where.bus(ANALYST)) as handle:
            wake = asyncio.Event()

            async def woken(_: object) -> None:
                wake.set()

            await handle.nc.subscribe(f"{LEDGER}.{where.tenant}.>", cb=woken)
            now = await status(handle)
            after = now.last_seq
            if first is not None or begin is not None:
                with told_plainly():
                    resolved = await _first_since(lambda moment: resolve(handle, moment, the_time()), begin)
                    begun = max(first or 1, resolved)
                after = min(begun - 1, now.last_seq)
            _hint(await _not_yet_there(handle, where.tenant, wanted, now.last_seq))
            try:
                await follow(handle, Checkpoint(now.created, after, GENESIS), print_them, wake, sys.stdout.flush)
            except LogReplaced as error:
                raise refused("The log is not the one that was followed", str(error)) from None

    asyncio.run(following())


@log.command("verify")
@segments_option("Compare these sealed segments with the log, message by message.")
@as_json
@located
def verify(where: Where, place: str | None, json_wanted: bool) -> None:
    """Read the whole log: is it without a gap, what is its running hash, and what in it is no event?

    It asks the bus, with --segments too. What segments alone can show, their hashes and joints, `scopefold log
    segments` checks.
    """
    found = asyncio.run(_verified(where.bus(ANALYST)))
    sealed = asyncio.run(_compared(where, place)) if place is not None else None
    if sealed is not None and not json_wanted:
        click.echo(f"The segments up to {sealed} say what the log says.")
    if json_wanted:
        click.echo(msgspec.json.encode(found))
        return
    click.echo(f"The log of {instant(found.created)} holds {found.messages} messages, without a gap.")
    click.echo(f"Its running hash after {found.last_seq} is {found.running_hash}.")
    if not found.quarantined:
        click.echo("Every message is an event.")
        return
    few = "1 is no event" if len(found.quarantined) == 1 else f"{len(found.quarantined)} are no events"
    click.echo(f"{few}; every fold sets aside what is none:\n")
    rows = [[str(one.seq), instant(one.at), one.subject, one.reason] for one in found.quarantined]
    show_table(["seq", "at", "subject", "reason"], rows, empty="")


def _nothing(wanted: Wanted, end: int, of_idps: Sequence[Recorded]) -> None:
    """Say so where nothing was found because nothing is named so."""
    told = None if wanted.idp is None else never_there(wanted.idp, of_idps, AsOf(end))
    if told is None and wanted.user is not None and wanted.type is None and wanted.idp is None:
        told = f"No event that was read concerns the user {wanted.user[:80]}."
    _hint(told)


async def _not_yet_there(handle: Log, tenant: str, wanted: Wanted, end: int) -> str | None:
    """What to tell who waits for events of what nothing up to `end` names: a wait for a name that is mistyped has no
    end, and looks like any other.
    """
    if wanted.idp is not None:
        told = never_there(wanted.idp, await events_of_idps(handle, tenant, until=end), AsOf(end))
        if told is not None:
            return told
    if wanted.user is not None:
        of_user = Wanted(type=None, user=wanted.user, idp=None)
        async for page in _pages(handle, 1, end, tenant, wanted.user):
            if any(map(of_user.has, page)):
                return None
        return f"No event up to {end} concerns the user {wanted.user[:80]}."
    return None


def _hint(told: str | None) -> None:
    """Beside what is printed, which stays what was read."""
    if told is not None:
        click.echo(plain(told), err=True)


async def _verified(reach: Reach) -> Verified:
    quarantined: list[Quarantined] = []
    count = 0

    async def note(page: Sequence[Recorded | Quarantined], _: Checkpoint) -> None:
        nonlocal count
        count += len(page)
        quarantined.extend(one for one in page if isinstance(one, Quarantined))

    async with connected(reach) as handle:
        end = await status(handle)
        reached = await catch_up(handle, None, note)
        if reached.seq < end.last_seq:
            raise refused("The log is damaged", f"It ends at {end.last_seq}, but nothing follows {reached.seq}")
    return Verified(
        created=reached.created,
        messages=count,
        last_seq=reached.seq,
        running_hash=reached.running_hash,
        quarantined=tuple(quarantined),
    )


async def _first_since(resolved: Resolved, moment: Moment | None) -> int:
    """The first sequence from a moment on: of a time, the first at or after it."""
    if moment is None:
        return 1
    if isinstance(moment, datetime):
        return await resolved(moment - timedelta(microseconds=1)) + 1
    return await resolved(moment)


async def _compared(where: Where, place: str) -> int:
    """How far the segments go, all of which are what the log says."""
    with analysis_part():
        from scopefold.ledger.segments import compare, open_segments
    with told_plainly():
        async with store_at(place, where, ANALYST) as store, connected(where.bus(ANALYST)) as handle:
            chain = await open_segments(store, tenant=where.tenant)
            await compare(handle, chain)
            return chain.last_seq


async def _pages(handle: Log, first: int, last: int | None, tenant: str, user: str | None) -> Pages:
    """The log in parts; where one user is wanted, only that user's shard is read."""
    await status(handle)  # says so where there is no log; a read could not tell that from an unreachable one
    subject = f"{LEDGER}.{tenant}.user.{shard_of(user)}.>" if user is not None else None
    async for messages in read(handle, after=first - 1, until=last, subject=subject):
        yield [examine(message) for message in messages if last is None or message.seq <= last]


def show(page: Sequence[Recorded | Quarantined], json_wanted: bool) -> None:
    """Print what was read, for people or as JSON Lines."""
    if json_wanted:
        for one in page:
            click.echo(msgspec.json.encode(line_of(one)))
    elif page:
        click.echo(table(["", "", "", "", "", ""], [_cells(one) for one in page]).partition("\n")[2])


def line_of(one: Recorded | Quarantined) -> EventLine:
    """A message as JSON tells it."""
    if isinstance(one, Quarantined):
        return EventLine(seq=one.seq, at=one.at, subject=one.subject, quarantined=one.reason)
    return EventLine(
        seq=one.seq, at=one.at, tenant=one.tenant, event_id=one.event_id, publisher=one.publisher, event=one.event
    )


_SHOWN_ELSEWHERE = frozenset({"type", "idp", "user"})


def _cells(one: Recorded | Quarantined) -> list[str]:
    if isinstance(one, Quarantined):
        return [str(one.seq), instant(one.at), "no event", "", one.subject, one.reason]
    said: dict[str, object] = msgspec.to_builtins(one.event)
    rest = " ".join(f"{name}={_words(value)}" for name, value in said.items() if name not in _SHOWN_ELSEWHERE)
    return [
        str(one.seq),
        instant(one.at),
        name_of(type(one.event)),
        one.event.idp,
        str(getattr(one.event, "user", None) or "-"),
        rest,
    ]


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(_words, value)) + "]"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
