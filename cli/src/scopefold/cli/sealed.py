"""Segments as a command reaches them: a directory, nats://… or s3://…, and what goes wrong there as one line."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec.structs import replace

from scopefold.cli.connected import connected
from scopefold.cli.extra import analysis_part
from scopefold.cli.failure import Failure, refused, unreachable, usage
from scopefold.cli.reach import ANALYST
from scopefold.cli.where import Where
from scopefold.ledger.moment import BadMoment, Moment, NoSuchMoment, parse

if TYPE_CHECKING:
    from scopefold.ledger.segment_store import Store
    from scopefold.ledger.segments import Segments

PLACE: Final = "DIR|nats://…|s3://…"


def segments_option(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--segments`, with what the command does with them."""
    return click.option("--segments", "place", metavar=PLACE, help=what)


@contextmanager
def told_plainly() -> Iterator[None]:
    """Faults of segments and of moments become a `Failure` of one line."""
    from scopefold.ledger.segment import SegmentFault

    try:
        yield
    except SegmentFault as fault:
        raise refused("The segments are not what they should be", str(fault)) from None
    except BadMoment as error:
        raise usage("This is no moment", str(error).rstrip(".")) from None
    except NoSuchMoment as error:
        raise refused("The log does not reach there", str(error).rstrip(".")) from None


@asynccontextmanager
async def store_at(place: str, where: Where, identity: str) -> AsyncIterator["Store"]:
    """The segments at an address. nats://HOST:PORT/BUCKET is an object store; without BUCKET it is SEGMENTS."""
    with analysis_part():
        from scopefold.ledger import segment_store
        from scopefold.ledger.segment_store import BUCKET, OnBus
    with told_plainly():
        try:
            if place.startswith("nats://"):
                server, _, bucket = place.removeprefix("nats://").partition("/")
                async with connected(replace(where, nats_url=f"nats://{server}").bus(identity)) as log:
                    yield await OnBus.open(log, bucket.strip("/") or BUCKET)
            else:
                try:
                    with analysis_part():
                        store = segment_store.place(place)
                except ValueError:
                    wrong = f"{place} is no directory, and neither nats:// nor s3://"
                    raise usage("Segments cannot be there", wrong) from None
                yield store
        except OSError as error:
            raise unreachable("Cannot reach the segments", f"{place}: {error}") from None


def no_segments(place: str) -> Failure:
    """Nothing is there: a name that was mistyped must not read as an empty log."""
    return refused("There are no segments", f"{place} has none; make some with: scopefold log seal --to {place}")


@asynccontextmanager
async def chain_at(place: str, where: Where) -> AsyncIterator["Segments"]:
    """The chain of segments at an address, for who reads. Raises `Failure`, also where there are none."""
    with analysis_part():
        from scopefold.ledger.segments import open_segments
    with told_plainly():
        async with store_at(place, where, ANALYST) as store:
            chain = await open_segments(store, tenant=where.tenant)
            if not chain.seals:
                raise no_segments(place)
            yield chain


def moment_of(at: str | None) -> Moment | None:
    """What `--at` names. Raises `Failure`."""
    with told_plainly():
        return parse(at) if at is not None else None


def now() -> datetime:
    """The time at which a command asks."""
    return datetime.now(UTC)
