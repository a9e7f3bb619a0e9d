"""`GET /v1/reconsent/export`: the whole worklist, streamed as CSV, JSON Lines or Parquet.

Pages are read one after the other, each of one moment: while the log moves on, somebody whose grant changes may come
twice or not at all. Who wants one moment asks with `at`.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Final

from msgspec import Meta
from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from scopefold.auth.store.listing import page
from scopefold.auth.web.service import Service, service_of
from scopefold.auth.web.worklist import Narrowed, chosen_by, look_up_user, moment_of
from scopefold.consent.chosen import Chosen, Place
from scopefold.consent.export import Format, Line, lines
from scopefold.consent.export_stream import NoParquet, ParquetStream, TextStream, stream_of
from scopefold.runtime.web import JSON_HEADERS, ProblemError, query

AT_ONCE: Final = 1000
MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
}


class ExportQuery(Narrowed, frozen=True, kw_only=True):
    """Which users of the worklist, as of when, and in which format."""

    format: Annotated[Format | None, Meta(description="Default: what Accept asks for, else jsonl.")] = None


async def export(request: Request) -> Response:
    """`GET /v1/reconsent/export`"""
    service, asked = service_of(request), query(request, ExportQuery)
    wanted: Format = asked.format or format_in(request.headers.get("accept", "")) or "jsonl"
    try:
        stream = stream_of(wanted)
    except NoParquet as error:
        told = f"{error}: install scopefold-auth[parquet], or ask for jsonl"
        raise ProblemError(501, "no-parquet", "This service cannot write Parquet", told) from None
    async with moment_of(service, asked.at) as moment:
        moment.look_up(asked.filters)
        await look_up_user(service, asked.user)
        if asked.at is not None:  # a time is one place in the log, however long this takes
            asked = replace(asked, at=str(moment.as_of.seq))
        chosen = await chosen_by(service, asked)
    first, place = await _page(service, asked, chosen, None)
    headers = {**JSON_HEADERS, "content-disposition": f'attachment; filename="reconsent.{wanted}"'}
    found = _pages(service, asked, chosen, (first, place))
    return StreamingResponse(_encoded(found, stream), headers=headers, media_type=MEDIA_TYPES[wanted])


async def _page(
    service: Service, asked: ExportQuery, chosen: Chosen, after: Place | None
) -> tuple[list[Line], Place | None]:
    async with moment_of(service, asked.at) as moment:
        found = await page(moment.projection, chosen, "idp", after=after, limit=AT_ONCE)
        listed = moment.listed(found.rows)
    return [line for row in listed for line in lines(row, row.why, row.next_steps)], found.next


async def _pages(
    service: Service, asked: ExportQuery, chosen: Chosen, first: tuple[list[Line], Place | None]
) -> AsyncIterator[list[Line]]:
    """All pages: each begins after the one before it, so there is an end."""
    found, place = first
    yield found
    while place is not None:
        found, place = await _page(service, asked, chosen, place)
        yield found


async def _encoded(pages: AsyncIterator[list[Line]], stream: TextStream | ParquetStream) -> AsyncIterator[bytes]:
    yield stream.begin()
    async for found in pages:
        yield stream.of(found)
    yield stream.end()


def format_in(accept: str) -> Format | None:
    """The format that an `Accept` header asks for first; None where it names none of them."""
    for named in accept.split(","):
        wanted = named.partition(";")[0].strip().lower()
        for known, media_type in MEDIA_TYPES.items():
            if wanted == media_type.partition(";")[0] or (wanted, known) == ("application/jsonl", "jsonl"):
                return known
    return None
