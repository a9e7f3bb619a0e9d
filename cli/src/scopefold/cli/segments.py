"""`scopefold log seal` and `scopefold log segments`: put the log into sealed files, and check them."""

import asyncio

import click
import msgspec
from msgspec import Struct

from scopefold.cli.connected import connected
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import refused
from scopefold.cli.reach import ANALYST, OPERATOR
from scopefold.cli.sealed import PLACE, no_segments, store_at, told_plainly
from scopefold.cli.table import instant, show_table
from scopefold.cli.where import Where, as_json, located
from scopefold.ledger.segment import Seal


class Sealed(Struct, frozen=True, kw_only=True):
    """What was sealed by this command, and how far the segments go now."""

    sealed: tuple[Seal, ...]
    last_seq: int


class Found(Struct, frozen=True, kw_only=True):
    """The segments at a place, and what is wrong with them."""

    segments: tuple[Seal, ...]
    faults: tuple[str, ...]


@click.command("seal")
@click.option("--to", "place", metavar=PLACE, required=True, help="Where they go.")
@click.option("--upto", type=click.IntRange(1), metavar="SEQ", help="Last sequence to seal. Default: the log's end.")
@as_json
@located
def seal(*, where: Where, place: str, upto: int | None, json_wanted: bool) -> None:
    """Put what is not sealed yet into files, a million events in each: for SQL, and to start a rebuild from.

    One at a time: two that seal at once make segments that overlap, which every reader refuses.
    """
    with analysis_part():
        from scopefold.ledger.segments import Segments, seal_log
        from scopefold.runtime.past import folded
    done: list[Seal] = []

    def told(one: Seal) -> None:
        done.append(one)
        if not json_wanted:
            click.echo(f"Sealed {one.first_seq} to {one.last_seq}: {_megabytes(one)} in {place}")

    async def sealing() -> Segments:
        # The store without, so that what goes wrong with the log is told as the log's.
        async with store_at(place, where, OPERATOR) as store, connected(where.bus(ANALYST)) as log:
            chain = await seal_log(log, store, tenant=where.tenant, upto=upto, told=told)
            if done:  # so that a moment among them is answered from the nearest fold (ADR 0032)
                await folded(chain, tenant=where.tenant, keep=True)
            return chain

    with told_plainly():
        chain = asyncio.run(sealing())
    if json_wanted:
        click.echo(msgspec.json.encode(Sealed(sealed=tuple(done), last_seq=chain.last_seq)))
    elif not done:
        click.echo(f"Nothing new: everything up to {chain.last_seq} is sealed.")


@click.command("segments")
@click.argument("place", metavar=PLACE)
@as_json
@located
def segments(*, where: Where, place: str, json_wanted: bool) -> None:
    """List sealed segments, and check every file and the chain; exit code 1 if anything is wrong."""
    with analysis_part():
        from scopefold.ledger.segments import all_faults

    async def looking() -> tuple[list[Seal], list[str]]:
        async with store_at(place, where, ANALYST) as store:
            return await all_faults(store)

    found, wrong = asyncio.run(looking())
    if not found and not wrong:
        raise no_segments(place)
    if json_wanted:
        click.echo(msgspec.json.encode(Found(segments=tuple(found), faults=tuple(wrong))))
    else:
        rows = [[str(one.first_seq), str(one.last_seq), *_cells(one)] for one in found]
        headers = ["from", "to", "of", "until", "users new", "size", "hash after"]
        show_table(headers, rows, empty="No segment can be read.")
        for fault in wrong:
            click.echo(fault)
    if wrong:
        few = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
        raise refused("The segments are not what they should be", f"{few}, the first: {wrong[0]}")


def _cells(one: Seal) -> list[str]:
    return [instant(one.first_at), instant(one.last_at), str(one.users), _megabytes(one), one.hash_after[:12]]


def _megabytes(one: Seal) -> str:
    return f"{sum(part.bytes for part in one.parts) / 1e6:.1f} MB"
