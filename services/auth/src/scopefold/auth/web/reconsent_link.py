"""Links to send to users who must consent again: made for operators, opened by users.

The page behind one says what is missing and why, changes nothing, and leads on to the ordinary login at that IdP, where
no other user will do. So it may be opened as often as one likes, and by whoever scans mail.
"""

from datetime import timedelta
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.login import reasons
from scopefold.auth.core.reconsent_link import BadLink, Link, read, write
from scopefold.auth.store.listing import rows_of
from scopefold.auth.web.pages import error_page, page
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.step_up import own_login
from scopefold.auth.web.users import heard_of
from scopefold.auth.web.worklist import ListedRow, moment_of
from scopefold.consent.chosen import Chosen, Filters
from scopefold.consent.reconsent import Lack
from scopefold.contracts.words import IdpId, UserId
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_body, json_response, query

LINK: Final = "/account/reconsent"
MOST_USERS: Final = 100
DAY_SECONDS: Final = 86400
BY_CONSENT: Final = frozenset({"next-login", "send-link"})
"""The next steps that are the user's own."""
log = logger(__name__)


class MakeLinks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For whom, at which IdP, and for how long."""

    users: Annotated[tuple[UserId, ...], Meta(min_length=1, max_length=MOST_USERS)]
    idp: IdpId
    lifetime_seconds: Annotated[int, Meta(ge=60, le=30 * DAY_SECONDS)] = 7 * DAY_SECONDS


class LinkView(Struct, frozen=True):
    """A link for one user. It is no secret, but is of use to that user only."""

    user: str
    url: str


class NoLink(Struct, frozen=True):
    """A user for whom there is none."""

    user: str
    why: Annotated[
        Literal["unknown-user", "not-on-worklist", "operator-first"],
        Meta(
            description="unknown-user: nobody has this id. operator-first: consenting once more would not bring it; "
            "see next_steps of the worklist."
        ),
    ]


class Links(Struct, frozen=True, kw_only=True):
    """The links, and until when they are good, in seconds since 1970."""

    items: tuple[LinkView, ...]
    without: tuple[NoLink, ...]
    until: int


class LinkQuery(Struct, frozen=True, kw_only=True):
    """What a link carries."""

    link: Annotated[str, Meta(max_length=600)]


async def make_links(request: Request) -> Response:
    """`POST /v1/reconsent/links`"""
    service, asked = service_of(request), await json_body(request, MakeLinks)
    key = service.bus.vault.reconsent_link_key
    if asked.idp not in service.scopes.idps:
        raise ProblemError(422, "unknown-idp", "There is no such identity provider", f"{asked.idp} is not registered.")
    until = int((now() + timedelta(seconds=asked.lifetime_seconds)).timestamp())
    rows = {row.user: row for row in await _rows(service, asked.idp, asked.users)}
    known = await heard_of(service, [user for user in asked.users if user not in rows])
    made, without = list[LinkView](), list[NoLink]()
    for user in dict.fromkeys(asked.users):
        row = rows.get(user)
        if row is None:
            without.append(NoLink(user, "not-on-worklist" if user in known else "unknown-user"))
            continue
        if not _asked_of_the_user(row):
            without.append(NoLink(user, "operator-first"))
            continue
        text = write(key, service.issuer, Link(user, asked.idp, until))
        made.append(LinkView(user, f"{service.issuer}{LINK}?link={text}"))
    log.info("links to consent again were made", idp=asked.idp, links=len(made))
    return json_response(Links(items=tuple(made), without=tuple(without), until=until), 201)


async def open_link(request: Request) -> Response:
    """`GET /account/reconsent`"""
    service = service_of(request)
    service.limits.logins.take(service.limits.address(request))
    try:
        link = read(service.bus.vault.reconsent_link_key, service.issuer, query(request, LinkQuery).link)
    except (BadLink, ProblemError) as error:  # also of a link that was cut off before it began
        status = error.status if isinstance(error, ProblemError) else 404
        text = "It is not complete, or was not made here. Ask whoever sent it to you for a new one."
        return error_page(status, "This link does not work", text, code="unknown_link")
    if link.expired(now()):
        text = "It was good for some days only. Ask whoever sent it to you for a new one, or log in to your app."
        return error_page(410, "This link is too old", text, code="expired_link")
    rows = await _rows(service, link.idp, (link.user,))
    idp = service.scopes.idps.get(link.idp)
    if not rows or idp is None:
        return page("reconsent", title="There is nothing to do", idp=idp, reasons=(), waiting=(), address="")
    (row,) = rows
    mine, waiting = _asked_of_the_user(row), [lack.scope for lack in row.missing if lack not in _asked_of_the_user(row)]
    return page(
        "reconsent",
        title="More access is needed" if mine else "There is nothing that you can do yet",
        idp=idp,
        reasons=reasons(mine),
        waiting=waiting,
        # Only this user will do (OpenID Connect Core 1.0, section 5.5.1), and the IdP must ask, whatever was granted.
        address=own_login(service, idp_hint=link.idp, prompt="consent", claims=_only(link.user)) if mine else "",
    )


def _only(user: str) -> str:
    return f'{{"id_token":{{"sub":{{"value":"{user}"}}}}}}'


async def _rows(service: Service, idp: str, users: tuple[str, ...]) -> tuple[ListedRow, ...]:
    """The rows of these users at an IdP, explained."""
    chosen = Chosen(filters=Filters(idp=idp), users=users)
    async with moment_of(service, None) as moment, moment.projection.standing_still():
        found = await rows_of(moment.projection, chosen, "user")
        return moment.listed(tuple(row for _, row in found))


def _asked_of_the_user(row: ListedRow) -> list[Lack]:
    """What of it the user's consent brings."""
    return [lack for lack in row.missing if row.next_steps[lack.scope] in BY_CONSENT]
