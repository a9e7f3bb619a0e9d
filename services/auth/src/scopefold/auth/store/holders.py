"""Who holds a token, as far as the log is folded: a page of them, and how many there are."""

from typing import Final

import msgspec
from msgspec import Struct

from scopefold.auth.core.clearing import Wanted
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.rows import GrantSet
from scopefold.consent.idp_scopes import Idp
from scopefold.consent.reconsent import UserGrant
from scopefold.scopes.coverage import Grant, carries

NOTHING = Grant((), ())
_AMONG: Final = (
    "FROM grants WHERE grant_set IN (SELECT value FROM json_each(?1))"
    " AND (?2 IS NULL OR user IN (SELECT value FROM json_each(?2)))"
)


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
        rows = await projection._db.execute_fetchall(
            "SELECT idp, user, grant_set, held FROM grants WHERE (idp, user) > (?1, ?2)"
            " AND grant_set IN (SELECT value FROM json_each(?3))"
            " AND (?4 IS NULL OR user IN (SELECT value FROM json_each(?4))) ORDER BY idp, user LIMIT ?5",
            (*after, _json(_sets(projection, wanted)), _json(wanted.users), most),
        )
        found = [projection._user_grant(*row) for row in rows]
    last = found[-1] if len(found) == most else None
    return Holders(
        tuple(one for one in found if one.cleared is None), (last.idp, last.user) if last is not None else None
    )


async def counted(projection: Projection, wanted: Wanted) -> Counted:
    """How many there are."""
    sets = _sets(projection, wanted)
    bare = [one for one in sets if projection._sets_by_id[one].grant == NOTHING]  # most of these hold no token any more
    users = _json(wanted.users)
    async with projection.standing_still():
        rows = await projection._db.execute_fetchall(
            f"SELECT idp, user, grant_set, held {_AMONG}", (_json(bare), users)
        )
        few = [held.user for row in rows if (held := projection._user_grant(*row)).cleared is None]
        full = _json([one for one in sets if one not in bare])
        tokens, found = await projection._one(f"SELECT count(*), count(DISTINCT user) {_AMONG}", (full, users))
        (twice,) = await projection._one(f"SELECT count(DISTINCT user) {_AMONG}", (full, _json(few)))
    return Counted(tokens + len(few), found + len(set(few)) - twice)


def _sets(projection: Projection, wanted: Wanted) -> list[int]:
    return [one.id for one in projection.grant_sets() if _fits(projection, one, wanted)]


def _fits(projection: Projection, one: GrantSet, wanted: Wanted) -> bool:
    if wanted.idps is not None and one.idp not in wanted.idps:
        return False
    profile = (projection.scopes.idps.get(one.idp) or Idp(one.idp)).profile
    return wanted.missing_scope is None or not carries(profile, one.grant, wanted.missing_scope)


def _json(values: object) -> str | None:
    return None if values is None else msgspec.json.encode(values).decode()
