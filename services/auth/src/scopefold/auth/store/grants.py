"""What apps were granted, and what has ended: families of tokens, and marks on users, sessions and single tokens.

The bucket is on file: a spent code and a used-up refresh token stay known over a restart of the bus.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.families import Ended, Family, is_over, keep_seconds
from scopefold.auth.store.buckets import Bucket, Taken, hashed
from scopefold.consent.idp_scopes import Idp
from scopefold.ledger.log import LogUnavailable

TRIES: Final = 60
KEEP_TRIES: Final = 3
PAUSE_SECONDS: Final = 0.5


class Mark(Struct, frozen=True, gc=False):
    """How often something has ended, and when it last did."""

    count: int
    at: datetime


class Spent(Struct, frozen=True, gc=False):
    """Something that is good for one use was used."""


class Grants:
    """The bucket of grants. Raises `LogUnavailable` where the bus does not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def family(self, family_id: str) -> tuple[Family, int] | None:
        """A family and its revision."""
        return await self._bucket.get(f"family.{family_id}", Family)

    def is_new(self, family_id: str) -> bool:
        """Is this a family that was not read yet, and would be remembered?"""
        return self._bucket.would_keep(f"family.{family_id}")

    async def keep(self, family_id: str, family: Family, *, revision: int, now: datetime) -> None:
        """Store a family where `revision` is still the present one (0: there is none yet). Raises `Taken`.

        Where the bus does not say what came of it, it is asked again: a client that was told to try again would bring
        what may be used up, and so end the family.
        """
        seconds, unsure = keep_seconds(family, now), False
        for turn in range(1, KEEP_TRIES + 1):
            try:
                await self._bucket.update(f"family.{family_id}", family, revision=revision, keep_seconds=seconds)
            except LogUnavailable:
                if turn == KEEP_TRIES:
                    raise
                unsure = True
                await asyncio.sleep(PAUSE_SECONDS)
            except Taken:
                found = await self.family(family_id) if unsure else None
                if found is None or found[0] != family:
                    raise
                return  # it was ourselves, in a try whose answer was lost
            else:
                return

    async def end(self, family_id: str, why: Ended, now: datetime) -> Family | None:
        """End a family, whatever others do to it meanwhile; as it then stands, or None where it is not known.

        A family that has ended already keeps its reason.
        """
        for _ in range(TRIES):
            found = await self.family(family_id)
            if found is None or found[0].ended is not None:
                return found[0] if found else None
            over = replace(found[0], ended=why)
            try:
                await self.keep(family_id, over, revision=found[1], now=now)
            except Taken:
                continue
            return over
        raise LogUnavailable("others were faster at every try")

    async def user_ends(self, user: str) -> Mark | None:
        """How often everything of a user was ended."""
        return await self._mark(f"ended.user.{hashed(user)}")

    async def end_user(self, user: str, now: datetime) -> None:
        """End all families of a user, however many there are, and the codes that are still out."""
        await self._end(f"ended.user.{hashed(user)}", now)

    async def session_end(self, sid: str) -> Mark | None:
        """Whether a session has ended before its time."""
        return await self._mark(f"ended.session.{hashed(sid)}")

    async def end_session(self, sid: str, now: datetime) -> None:
        """End what was granted in a session and may not outlive it."""
        await self._end(f"ended.session.{hashed(sid)}", now)

    async def token_ended(self, jti: str) -> bool:
        """Whether one access token was revoked."""
        return await self.spent(f"ended.token.{hashed(jti)}")

    async def end_token(self, jti: str, *, keep_seconds: int) -> None:
        """Revoke one access token, which dies by itself within `keep_seconds`."""
        await self.spend(f"ended.token.{hashed(jti)}", keep_seconds=keep_seconds)

    async def spend(self, name: str, *, keep_seconds: int) -> bool:
        """Note that something was used. Of all who note the same one, one gets True."""
        try:
            await self._bucket.create(name, Spent(), keep_seconds=max(1, keep_seconds))
        except Taken:
            return False
        return True

    async def spent(self, name: str) -> bool:
        """Was something used that is good for one use?"""
        return await self._bucket.get(name, Spent) is not None

    async def _mark(self, key: str) -> Mark | None:
        found = await self._bucket.get(key, Mark)
        return found[0] if found else None

    async def _end(self, key: str, now: datetime) -> None:
        for _ in range(TRIES):
            found = await self._bucket.get(key, Mark)
            mark = Mark(found[0].count + 1 if found else 1, now)
            try:
                await self._bucket.update(key, mark, revision=found[1] if found else 0)
            except Taken:
                continue
            return
        raise LogUnavailable("others were faster at every try")


async def has_ended(grants: Grants, family: Family, idps: Mapping[str, Idp]) -> bool:
    """Was a family ended: by itself, with all that its user granted, with its session, or with its IdP?"""
    user_end, session_ended = await ends(grants, family.user, family.sid)
    return is_over(
        family,
        user_ends=user_end.count if user_end else 0,
        session_ended=session_ended,
        idp_since=registered_since(idps.get(family.idp)),
    )


def registered_since(idp: Idp | None) -> int | None:
    """The event that first registered an IdP; None where it is not registered."""
    return idp.first_registered.seq if idp is not None and idp.first_registered is not None else None


async def ends(grants: Grants, user: str, sid: str | None) -> tuple[Mark | None, bool]:
    """The end of a user's grants, if there was one, and whether a session has ended before its time."""
    user_end = await grants.user_ends(user)
    return user_end, sid is not None and await grants.session_end(sid) is not None
