"""`GET /v1/reconsent`: who must consent again, to what, since when and because of what; now, or as it was."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.worklist import BadCursor, read_cursor, write_cursor
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.moment import AsOf, standing
from scopefold.auth.web.service import Service, now, service_of
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reasons import reasons
from scopefold.consent.reconsent import Row
from scopefold.consent.ungiven import Why
from scopefold.consent.window import waiting_until
from scopefold.contracts.words import IdpId
from scopefold.runtime.moment import At
from scopefold.runtime.web import ProblemError, json_response, query


class WorklistQuery(Struct, frozen=True, kw_only=True):
    """Which part of the worklist, and as of when."""

    idp: IdpId | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=500)] | None = None
    at: At | None = None


class ListedRow(Row, frozen=True, kw_only=True):
    """One user on the worklist of one IdP, and by scope why the grant lacks it."""

    why: Annotated[
        dict[str, Why],
        Meta(
            description="never-asked: another consent brings it. not-allowed: the user was asked and did not allow it. "
            "not-given: the provider gives it to nobody, so its app lacks it. "
            "disproved: granted, as the provider says, but a call has met a token without it. "
            "cleared: the token is gone."
        ),
    ]
    asked_from: Annotated[
        datetime | None,
        Meta(description="From when a login asks for it by itself, while installs are being gathered; null: already."),
    ]


class Worklist(Struct, frozen=True, kw_only=True):
    """Who must consent again, to what, since when and because of what."""

    as_of: AsOf
    total: Annotated[int, Meta(description="How many users must consent again.")]
    unknown: Annotated[int, Meta(description="How many users hold a grant of which the IdP did not say enough.")]
    items: tuple[ListedRow, ...]
    next: Annotated[str | None, Meta(description="The cursor of the next part.")]


async def reconsent(request: Request) -> Response:
    """`GET /v1/reconsent`"""
    service, asked = service_of(request), query(request, WorklistQuery)
    try:
        after = read_cursor(asked.cursor) if asked.cursor else None
    except BadCursor as error:
        raise ProblemError(400, "invalid-query", "The query cannot be read", str(error)) from None
    async with standing(service, asked.at) as (projection, as_of):
        return await _worklist(service, projection, asked, after, as_of)


async def _worklist(
    service: Service,
    projection: Projection,
    asked: WorklistQuery,
    after: tuple[str, str, str] | None,
    as_of: AsOf,
) -> Response:
    page = await projection.page(idp=asked.idp, after=after, limit=asked.limit)
    counts = _Counts(projection)
    rows = [
        ListedRow(
            **{name: getattr(row, name) for name in Row.__struct_fields__},
            why=counts.why(row),
            asked_from=waiting_until(
                projection.scopes.idps[row.idp], row.missing, service.consent_window, as_of.at or now()
            ),
        )
        for row in page.rows
    ]
    return json_response(
        Worklist(
            as_of=as_of,
            total=projection.count("missing", asked.idp),
            unknown=projection.count("unknown", asked.idp),
            items=tuple(rows),
            next=write_cursor(page.next) if page.next else None,
        )
    )


class _Counts:
    """Why grants lack scopes, each scope of an IdP counted once for a whole page."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._users: dict[tuple[str, str], tuple[int, int]] = {}

    def why(self, row: Row) -> dict[str, Why]:
        """By scope, why this user's grant lacks it."""
        profile = (self._projection.scopes.idps.get(row.idp) or Idp(row.idp)).profile

        def counted(name: str) -> tuple[int, int]:
            if (row.idp, name) not in self._users:
                users_without = self._projection.ungiven(row.idp).get(name, 0)
                self._users[row.idp, name] = (self._projection.users_with(row.idp, name), users_without)
            return self._users[row.idp, name]

        return reasons(row, profile, counted)
