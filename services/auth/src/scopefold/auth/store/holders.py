"""Who holds a token, as far as the log is folded: a page of them, and how many there are."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from scopefold.auth.core.clearing import Wanted
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.consent.reconsent import UserGrant
from scopefold.scopes.coverage import Grant, carries

NOTHING = Grant((), ())
_LISTED: Final = "(SELECT value FROM json_each(?))"
Condition = tuple[str, tuple[object, ...]]
"""What stands after WHERE, and its values."""


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
    async with projection.standing_still():
        found = await _grants(
            projection,
            _sets(projection, wanted),
            wanted.users,
            ("AND (idp, user) > (?, ?) ORDER BY idp, user LIMIT ?", (*after, most)),
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
        few = [one.user for one in await _grants(projection, bare, wanted.users) if one.cleared is None]
        tokens, users = await _count(projection, full, wanted.users)
        _, twice = await _count(projection, full, few)
    return Counted(tokens + len(few), users + len(set(few)) - twice)


async def _grants(
    projection: Projection, sets: Iterable[GrantSet], users: Iterable[str] | None, more: Condition = ("", ())
) -> list[UserGrant]:
    where, values = _among(sets, users)
    sql = f"SELECT idp, user, grant_set, held FROM grants WHERE {where} {more[0]}"  # noqa: S608 (written here)
    return [projection.user_grant(*row) for row in await projection.select(sql, (*values, *more[1]))]


async def _count(projection: Projection, sets: Iterable[GrantSet], users: Iterable[str] | None) -> tuple[int, int]:
    """How many tokens, and of how many users."""
    where, values = _among(sets, users)
    sql = f"SELECT count(*), count(DISTINCT user) FROM grants WHERE {where}"  # noqa: S608 (written here)
    ((tokens, found),) = await projection.select(sql, values)
    return tokens, found


def _among(sets: Iterable[GrantSet], users: Iterable[str] | None) -> Condition:
    """The condition for a grant to be of these sets, and of these users; None: of anybody. One JSON text for all of
    them: a statement with a place for each costs more than the look-up.
    """
    numbers = msgspec.json.encode([one.id for one in sets]).decode()
    if users is None:
        return f"grant_set IN {_LISTED}", (numbers,)
    named = msgspec.json.encode(list(users)).decode()
    return f"grant_set IN {_LISTED} AND user IN {_LISTED}", (numbers, named)


def _sets(projection: Projection, wanted: Wanted) -> list[GrantSet]:
    return [one for one in projection.grant_sets() if _fits(projection, one, wanted)]


def _fits(projection: Projection, one: GrantSet, wanted: Wanted) -> bool:
    if wanted.idps is not None and one.idp not in wanted.idps:
        return False
    profile = projection.scopes.idp(one.idp).profile
    return wanted.missing_scope is None or not carries(profile, one.grant, wanted.missing_scope)
