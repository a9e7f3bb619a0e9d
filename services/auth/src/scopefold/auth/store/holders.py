"""Who holds a token, as far as the log is folded: a page of them, and how many there are."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from scopefold.auth.core.clearing import Wanted
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import UserGrant
from scopefold.scopes.coverage import Grant, carries

NOTHING = Grant((), ())


class Holders(Struct, frozen=True):
    """Some who hold a token, and the last one that was looked at; None: nobody is left."""

    held: tuple[UserGrant, ...]
    next: tuple[str, str] | None


class Counted(Struct, frozen=True):
    """How many tokens, of how many users."""

    tokens: int
    users: int


async def holders(projection: Projection, wanted: Wanted, *, after: tuple[str, str], most: int) -> Holders:
    """Those who hold a token that is as wanted, by IdP and user, after this place; it looks at so many at most."""
    sql, users = _of(wanted.users)
    async with projection.standing_still():
        found = await projection.grants_among(
            _sets(projection, wanted),
            f"{sql} AND (idp, user) > (?, ?) ORDER BY idp, user LIMIT ?",
            (*users, *after, most),
        )
    last = found[-1] if len(found) == most else None
    return Holders(
        tuple(one for one in found if one.cleared is None), (last.idp, last.user) if last is not None else None
    )


async def counted(projection: Projection, wanted: Wanted) -> Counted:
    """How many there are."""
    sets = _sets(projection, wanted)
    bare = [one for one in sets if one.grant == NOTHING]  # most of these hold no token any more
    full = [one for one in sets if one.grant != NOTHING]
    async with projection.standing_still():
        few = [one.user for one in await projection.grants_among(bare, *_of(wanted.users)) if one.cleared is None]
        tokens, users = await projection.count_among(full, *_of(wanted.users))
        _, twice = await projection.count_among(full, *_of(few))
    return Counted(tokens + len(few), users + len(set(few)) - twice)


def _sets(projection: Projection, wanted: Wanted) -> list[GrantSet]:
    return [one for one in projection.grant_sets() if _fits(projection, one, wanted)]


def _of(users: Iterable[str] | None) -> tuple[str, tuple[str, ...]]:
    """The condition for a grant to be one of these users'; None: anybody's."""
    if users is None:
        return "", ()
    return "AND user IN (SELECT value FROM json_each(?))", (msgspec.json.encode(list(users)).decode(),)


def _fits(projection: Projection, one: GrantSet, wanted: Wanted) -> bool:
    if wanted.idps is not None and one.idp not in wanted.idps:
        return False
    profile = (projection.scopes.idps.get(one.idp) or Idp(one.idp)).profile
    return wanted.missing_scope is None or not carries(profile, one.grant, wanted.missing_scope)
