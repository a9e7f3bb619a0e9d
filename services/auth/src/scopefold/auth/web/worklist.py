"""`GET /v1/reconsent`: who must consent again, to what, since when, because of what, and what comes next; now, or as it
was.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.worklist import BadCursor, read_cursor, write_cursor
from scopefold.auth.store.listing import TooMany, count, count_unclear, page, rows_of
from scopefold.auth.store.members import TooManyMembers, groups_of_all
from scopefold.auth.store.named import users_named
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.tallies import reasons_of, tallies
from scopefold.auth.web.moment import standing
from scopefold.auth.web.service import Service, now, service_of
from scopefold.consent.chosen import Chosen, Filters, Order
from scopefold.consent.named import NotThere, look_up, look_up_scope, no_such_user
from scopefold.consent.next_step import Step, next_steps
from scopefold.consent.reconsent import Row
from scopefold.consent.tallies import Tally
from scopefold.consent.ungiven import Why
from scopefold.consent.window import waiting_until
from scopefold.contracts.recorded import AsOf
from scopefold.contracts.words import IdpId, UserId
from scopefold.ledger.events import names_user
from scopefold.ledger.moment import parse
from scopefold.runtime.moment import At, moments_told
from scopefold.runtime.web import ProblemError, json_response, query


class Narrowed(Struct, frozen=True, kw_only=True):
    """Which users of the worklist, and as of when. Whatever is given must hold."""

    idp: IdpId | None = None
    connector: Annotated[str, Meta(max_length=600, description="A connector's id or resource type.")] | None = None
    scope: Annotated[str, Meta(max_length=600)] | None = None
    user: UserId | None = None
    group: Annotated[str, Meta(max_length=200, description="Whose members; by the groups as they are now.")] | None = (
        None
    )
    since_after: At | None = None
    since_before: At | None = None
    at: At | None = None

    @property
    def filters(self) -> Filters:
        """What narrows the worklist."""
        return Filters(**{name: getattr(self, name) for name in Filters.__struct_fields__})


class WorklistQuery(Narrowed, frozen=True, kw_only=True):
    """Which part of the worklist, and as of when."""

    sort: Order = "idp"
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    cursor: Annotated[str, Meta(max_length=1000)] | None = None


class CountsQuery(Struct, frozen=True, kw_only=True):
    """What to count by, and what of."""

    by: Literal["idp", "connector", "scope", "why", "group"] = "idp"
    idp: IdpId | None = None
    connector: Annotated[str, Meta(max_length=600)] | None = None
    scope: Annotated[str, Meta(max_length=600)] | None = None
    at: At | None = None


class ListedRow(Row, frozen=True, kw_only=True):
    """One user on the worklist of one IdP, and by scope why the grant lacks it and what comes next."""

    why: Annotated[
        dict[str, Why],
        Meta(
            description="never-asked: another consent brings it. not-allowed: the user was asked and did not allow it. "
            "not-given: the provider gives it to nobody, so its app lacks it. "
            "not-renewed: granted, and left out when the provider renewed the token. "
            "disproved: granted, as the provider says, but a call has met a token without it. "
            "cleared: the token is gone."
        ),
    ]
    asked_from: Annotated[
        datetime | None,
        Meta(description="From when a login asks for it by itself, while installs are being gathered; null: already."),
    ]
    next_steps: Annotated[
        dict[str, Step],
        Meta(
            description="next-login: the user is asked at the next login. send-link: the same, but do not wait for it. "
            "restore: an operator must restore it first, since it is withheld or was asked for twice in vain. "
            "mend-app: an operator must give it to the provider's app first. register-idp: nobody can log in there."
        ),
    ]


class Worklist(Struct, frozen=True, kw_only=True):
    """Who must consent again, to what, since when and because of what."""

    as_of: AsOf
    total: Annotated[int, Meta(description="How many rows there are on all pages.")]
    unknown: Annotated[
        int,
        Meta(
            description="How many more hold a grant of which the IdP did not say enough: whether they lack what is "
            "asked about is not known."
        ),
    ]
    items: tuple[ListedRow, ...]
    next: Annotated[str | None, Meta(description="The cursor of the next part.")]


class Counts(Struct, frozen=True, kw_only=True):
    """The worklist, counted. A user of an IdP counts once for each connector, scope, reason or group."""

    as_of: AsOf
    total: Annotated[int, Meta(description="How many rows there are.")]
    items: tuple[Tally, ...]


class Moment(Struct, frozen=True):
    """The worklist as it stands, or stood, at a moment."""

    projection: Projection
    as_of: AsOf
    window: timedelta
    """For how long installs are gathered into one prompt."""

    def look_up(self, filters: Filters) -> None:
        """Look whether what is named is there. Raises `NotThere`."""
        scopes, users_with = self.projection.scopes, self.projection.users_with
        look_up(scopes, self.as_of, idp=filters.idp, connector=filters.connector)
        look_up_scope(scopes, self.as_of, filters.scope, idp=filters.idp, users_with=users_with)

    def listed(self, rows: tuple[Row, ...]) -> tuple[ListedRow, ...]:
        """The rows, explained."""
        reasons, when, found = reasons_of(self.projection), self.as_of.at or now(), []
        for row in rows:
            why = reasons.of(row)
            idp = self.projection.scopes.idp(row.idp)
            told: dict[str, Any] = {name: getattr(row, name) for name in Row.__struct_fields__}
            asked_from = waiting_until(idp, row.missing, self.window, when)
            next_step = next_steps(idp, row, why, when)
            found.append(ListedRow(**told, why=why, asked_from=asked_from, next_steps=next_step))
        return tuple(found)


async def reconsent(request: Request) -> Response:
    """`GET /v1/reconsent`"""
    service, asked = service_of(request), query(request, WorklistQuery)
    with_filters = asked.filters
    async with moment_of(service, asked.at) as moment:
        after = read_cursor(asked.cursor, asked.sort, with_filters) if asked.cursor else None
        moment.look_up(asked.filters)
        await look_up_user(service, asked.user)
        chosen = await chosen_by(service, asked)
        found = await page(moment.projection, chosen, asked.sort, after=after, limit=asked.limit)
        return json_response(
            Worklist(
                as_of=moment.as_of,
                total=await count(moment.projection, chosen),
                unknown=await count_unclear(moment.projection, chosen),
                items=moment.listed(found.rows),
                next=write_cursor(found.next, asked.sort, with_filters) if found.next else None,
            )
        )


async def counts(request: Request) -> Response:
    """`GET /v1/reconsent/counts`"""
    service, asked = service_of(request), query(request, CountsQuery)
    filters = Filters(idp=asked.idp, connector=asked.connector, scope=asked.scope)
    async with moment_of(service, asked.at) as moment:
        projection = moment.projection
        moment.look_up(filters)
        if asked.by == "group":
            items = await _by_group(service, projection, filters)
        else:
            items = tallies(projection, filters, asked.by)
        total = await count(projection, Chosen(filters=filters))
        return json_response(Counts(as_of=moment.as_of, total=total, items=tuple(items)))


@asynccontextmanager
async def moment_of(service: Service, at: str | None) -> AsyncIterator[Moment]:
    """The worklist at a moment, or now. What it is asked that cannot be answered is told as a problem.

    Raises `ProblemError`, `LogUnavailable`.
    """
    try:
        with names_told():
            async with standing(service, at) as (projection, as_of):
                yield Moment(projection, as_of, service.consent_window)
    except BadCursor as error:
        raise ProblemError(400, "invalid-query", "The query cannot be read", str(error)) from None
    except (TooMany, TooManyMembers) as error:
        raise ProblemError(422, "too-many", "Too many users would have to be looked at", str(error)) from None


@contextmanager
def names_told() -> Iterator[None]:
    """What is asked about and is not there is told as a problem. Raises `ProblemError`."""
    try:
        yield
    except NotThere as error:
        raise ProblemError(404, error.kind, error.title, error.detail) from None


async def look_up_user(service: Service, user: str | None) -> None:
    """Look whether the log names a user, if one is asked about. Raises `NotThere`.

    Of whom the fold has kept nothing the log itself may tell, as of who never gave anything.
    """
    if user is None or await users_named(service.projection, [user]):
        return
    if not await names_user(service.bus.log, service.settings.tenant, user):
        raise no_such_user(user)


async def chosen_by(service: Service, asked: Narrowed) -> Chosen:
    """Which rows are asked for. Raises `TooManyMembers`, `ProblemError`, `LogUnavailable`."""
    with moments_told():
        after, before = [
            None if text is None else await service.history.place(service.bus.log, parse(text))
            for text in (asked.since_after, asked.since_before)
        ]
    users: tuple[str, ...] | None = None if asked.user is None else (asked.user,)
    if asked.group is not None:
        found = await _groups(service)
        members = tuple(sorted(user for user, groups in found.items() if asked.group in groups))
        users = members if users is None else tuple(one for one in users if one in members)
    return Chosen(filters=asked.filters, after=after, before=before, users=users)


async def _groups(service: Service) -> dict[str, frozenset[str]]:
    registered = [(idp.idp, idp.registration) for idp in service.scopes.idps.values()]
    telling = [name for name, one in registered if one is not None and one.event.groups_claim]
    return await groups_of_all(service.bus.buckets.vault, service.bus.vault, telling)


async def _by_group(service: Service, projection: Projection, filters: Filters) -> list[Tally]:
    """Members on the worklist, by IdP and group. Who is in no group is counted nowhere."""
    groups = await _groups(service)
    async with projection.standing_still():
        rows = await rows_of(projection, Chosen(filters=filters, users=tuple(sorted(groups))), "idp")
    found = Counter((row.idp, group) for _, row in rows for group in groups[row.user])
    return sorted(Tally(*key, users) for key, users in found.items())
