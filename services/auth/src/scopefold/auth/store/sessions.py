"""Browser sessions: found by their cookie, and by user and public id.

The cookie is `user.sid.secret`: the row stands under `user.sid`, and holds only a hash of the secret. So one read
finds it, all sessions of a user stand below one key, and changing the identifier is one compare-and-set: the old
cookie is dead at the moment when the new one lives.

Where an IdP names its own session, its `sid`, a signpost under `upstream.{hash}.user.sid` leads from there to ours. It
outlives what it leads to: the row alone says where the user last came from.
"""

import hmac
import re
import secrets
from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from scopefold.auth.store.buckets import Bucket, Taken, hashed
from scopefold.auth.store.declared import SESSION_SECONDS
from scopefold.auth.store.records import Seen, Session

MAX_CLIENTS: Final = 100
TRIES: Final = 60
"""Of all who write the same row at once, one succeeds at each try: enough for as many windows as open together."""
SessionId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{8,64}(?![\s\S])")]
_COOKIE: Final = re.compile(r"([A-Za-z0-9_-]{8,64})\.([A-Za-z0-9_-]{8,64})\.([A-Za-z0-9_-]{43})")


class Begun(Struct, frozen=True):
    """A session that a login began, its cookie, and another user's session that this browser had."""

    session: Session
    cookie: str
    before: Session | None


class Sessions:
    """The bucket of sessions. All raise `LogUnavailable` where the bus does not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def find(self, cookie: str | None, now: datetime) -> Session | None:
        """The session that a cookie stands for, if it lives."""
        found = await self._row(cookie, now)
        return found[0] if found else None

    async def of(self, user: str, sid: str, now: datetime) -> Session | None:
        """The session of this public id, if it lives."""
        found = await self._bucket.get(_key(user, sid), Session)
        return found[0] if found is not None and _lives(found[0], now) else None

    async def all_of(self, user: str, now: datetime) -> list[Session]:
        """The user's sessions that live, the latest first."""
        found = [await self._bucket.get(key, Session) for key in await self._bucket.keys(f"{user}.*")]
        live = [one[0] for one in found if one is not None and _lives(one[0], now)]
        return sorted(live, key=lambda session: session.created_at, reverse=True)

    async def from_upstream(self, idp: str, upstream_sid: str, now: datetime) -> list[Session]:
        """The sessions that live whose users last came from this session of that IdP."""
        name = upstream_name(idp, upstream_sid)
        places = [key.split(".")[2:] for key in await self._bucket.keys(f"upstream.{name}.*.*")]
        found = [await self.of(user, sid, now) for user, sid in places]
        return [one for one in found if one is not None and one.upstream.get(idp) == name]

    async def begin(
        self,
        cookie: str | None,
        *,
        user: str,
        idp: str,
        client: str,
        authenticated_at: datetime,
        now: datetime,
        issuer: str = "",
        upstream_sid: str | None = None,
    ) -> Begun:
        """A login: a session with a new identifier. The same user keeps the public id, and what hangs on it.

        `issuer` is as whom the client asked us, `upstream_sid` what the IdP calls its own session. Raises
        `Taken` where parallel logins of the same browser were faster at every try.
        """
        for _ in range(TRIES):
            found = await self._row(cookie, now)
            before, revision = found if found is not None and found[0].user == user else (None, 0)
            secret = secrets.token_urlsafe(32)
            session = Session(
                user,
                created_at=now,
                authenticated_at=authenticated_at,
                idps=(*(one for one in (before.idps if before else ()) if one != idp), idp),
                sid=before.sid if before else f"s_{secrets.token_urlsafe(16)}",
                secret=hashed(secret),
                upstream=_came_from(before.upstream if before else {}, idp, upstream_sid),
                **_noted(before, client, issuer),
            )
            if idp in session.upstream:  # before the row: one that no signpost leads to could not be ended from there
                signpost = f"upstream.{session.upstream[idp]}.{_key(user, session.sid)}"
                await self._bucket.put(signpost, Seen(now))
            try:
                await self._bucket.update(_key(user, session.sid), session, revision=revision)
            except Taken:
                continue
            other = found[0] if found is not None and found[0].user != user else None
            return Begun(session, f"{user}.{session.sid}.{secret}", other)
        raise Taken(user)

    async def note_client(self, session: Session, client: str, issuer: str = "") -> bool:
        """Remember that this client logged in with the session; False where the session has ended meanwhile."""
        if _is_noted(session, client, issuer):
            return True
        for _ in range(TRIES):
            found = await self._bucket.get(_key(session.user, session.sid), Session)
            if found is None:
                return False
            if _is_noted(found[0], client, issuer):  # another window of the same browser was faster
                return True
            try:
                noted = replace(found[0], **_noted(found[0], client, issuer))
                await self._bucket.update(_key(session.user, session.sid), noted, revision=found[1])
            except Taken:
                continue
            return True
        raise Taken(session.sid)

    async def end(self, user: str, sid: str) -> Session | None:
        """End a session; what it was, for the one caller of all who try that ended it."""
        for _ in range(TRIES):
            found = await self._bucket.get(_key(user, sid), Session)
            if found is None:
                return None
            try:
                await self._bucket.take(_key(user, sid), found[1])
            except Taken:
                continue  # a client was noted, or the identifier changed: what stands there now must end
            return found[0]
        raise Taken(sid)

    async def _row(self, cookie: str | None, now: datetime) -> tuple[Session, int] | None:
        parts = _COOKIE.fullmatch(cookie or "")
        if parts is None:
            return None
        found = await self._bucket.get(_key(parts[1], parts[2]), Session)
        if found is None or not _lives(found[0], now) or not hmac.compare_digest(found[0].secret, hashed(parts[3])):
            return None
        return found


def _key(user: str, sid: str) -> str:
    return f"{user}.{sid}"


def _lives(session: Session, now: datetime) -> bool:
    """The bucket's own lifetime begins anew with each write, a session's does not."""
    return (now - session.created_at).total_seconds() < SESSION_SECONDS


def upstream_name(idp: str, upstream_sid: str) -> str:
    """What an IdP's session is kept as: nothing that could be used at the IdP."""
    return hashed(f"{idp} {upstream_sid}")


def _came_from(before: dict[str, str], idp: str, upstream_sid: str | None) -> dict[str, str]:
    others = {name: there for name, there in before.items() if name != idp}
    return {**others, idp: upstream_name(idp, upstream_sid)} if upstream_sid else others


def _is_noted(session: Session, client: str, issuer: str) -> bool:
    return client in session.clients and session.issuers.get(client, "") == issuer


def _noted(before: Session | None, client: str, issuer: str) -> dict[str, Any]:
    """The clients with this one as the latest, and as whom each of them asked us."""
    clients = (*(one for one in (before.clients if before else ()) if one != client), client)[-MAX_CLIENTS:]
    known = {**(before.issuers if before else {}), **({client: issuer} if issuer else {})}
    return {"clients": clients, "issuers": {one: known[one] for one in clients if one in known}}
