"""The messages and events in a chain of segments, as `read` and `events` give them from the bus.

A row that is not asked for is left out as a column still: of the few that are, an event is made.
"""

from collections.abc import AsyncIterator, Sequence
from functools import reduce
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from scopefold.contracts.codec import UPCASTS
from scopefold.contracts.columns import ELSEWHERE
from scopefold.contracts.events import tag_of
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.contracts.subjects import OF_IDPS
from scopefold.ledger.segments import Mask, Segments


class Sought(Struct, frozen=True, kw_only=True):
    """Which events are wanted: all that is given must hold."""

    user: str | None = None
    idp: str | None = None
    types: frozenset[str] | None = None
    """Tags, such as `token-stored.v1`, or names, such as `token-stored`."""


_ELSEWHERE: Final = Sought(types=frozenset({ELSEWHERE}))
_OF_IDPS: Final = Sought(types=frozenset(map(tag_of, OF_IDPS)))


async def messages_in(
    segments: Segments, sought: Sought, *, after: int = 0, until: int | None = None
) -> AsyncIterator[list[Recorded | Quarantined]]:
    """The events that are sought, in order. Raises `SegmentFault`.

    Of another tenant's events the columns tell nothing: where no user is sought, all of them come along.
    """
    some = (sought,) if sought.user is not None else (sought, _ELSEWHERE)
    async for page in segments.messages(after=after, until=until, wanted=_any_of(some)):
        yield page


async def events_of_idps_in(segments: Segments, *, after: int = 0, until: int) -> list[Recorded]:
    """As `events_of_idps`. Raises `SegmentFault`."""
    return await _events(segments, _OF_IDPS, after=after, until=until)


async def events_of_user_in(segments: Segments, user: str, idp: str, *, until: int) -> list[Recorded]:
    """As `events_of_user`. Raises `SegmentFault`."""
    return await _events(segments, _OF_IDPS, Sought(user=user, idp=idp), until=until)


async def names_user_in(segments: Segments, user: str) -> bool:
    """As `names_user`. Raises `SegmentFault`."""
    async for page in messages_in(segments, Sought(user=user)):
        if any(isinstance(one, Recorded) for one in page):
            return True
    return False


async def _events(segments: Segments, *some: Sought, after: int = 0, until: int) -> list[Recorded]:
    pages = segments.messages(after=after, until=until, wanted=_any_of(some))
    return [one async for page in pages for one in page if isinstance(one, Recorded)]


def _any_of(some: Sequence[Sought]) -> Mask:
    """Which rows any of these seek."""

    def mask(batch: pa.RecordBatch) -> Any:
        return reduce(pc.or_, [_sought(batch, one) for one in some])

    return mask


def _sought(batch: pa.RecordBatch, sought: Sought) -> Any:
    types = batch.column("type")
    mask = pc.is_valid(types)
    if sought.types is not None:
        tags = [tag for tag in pc.unique(types).to_pylist() if _is_of(tag, sought.types)]
        mask = pc.and_(mask, pc.is_in(types, value_set=pa.array(tags, types.type)))
    if sought.idp is not None:
        mask = pc.and_(mask, pc.equal(batch.column("idp"), sought.idp))
    if sought.user is not None:
        mask = pc.and_(mask, pc.fill_null(pc.equal(batch.column("user"), sought.user), False))
    return mask


def _is_of(tag: str, types: frozenset[str]) -> bool:
    """An older tag may have become any of them."""
    return tag in types or tag.partition(".")[0] in types or tag in UPCASTS
