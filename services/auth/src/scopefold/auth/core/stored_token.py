"""A user's upstream tokens at one IdP, as the vault keeps them, and what a renewal makes of them."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from scopefold.auth.core.leases import holds, is_over
from scopefold.auth.core.login import Clocks, Granted
from scopefold.auth.core.sites import Sites
from scopefold.auth.core.tokens import Token
from scopefold.auth.core.waiting import MOST_WAIT_SECONDS
from scopefold.scopes.canonical import canonical_name, closure
from scopefold.scopes.coverage import Grant
from scopefold.scopes.profile import Profile
from scopefold.scopes.update import refreshed

LEASE: Final = 1.5
"""How long a renewal that somebody has begun keeps all others from it, by how long it may take at most."""
MOST_RENEWAL_SECONDS: Final = 60
"""No replica is set to take longer for a renewal."""
STALLED_SECONDS: Final = 600.0
"""How long nobody asks an IdP again that wants to see the user. A login ends it; a policy may change without one."""


class Piece(Struct, frozen=True):
    """One access token, and what can renew it. `part` is empty where one token carries everything."""

    part: str
    access_token: str
    refresh_token: str | None
    expires_at: datetime | None
    """None: it lives until it is revoked."""

    def lives(self, now: datetime) -> bool:
        """Is it good now?"""
        return self.expires_at is None or now < self.expires_at


class Identity(Struct, frozen=True):
    """Who a user is at an IdP. Personal: sealed, and never in the log."""

    subject: str
    email: str | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    preferred_username: str | None = None
    email_verified: bool | None = None
    """None where the IdP did not say."""
    groups: tuple[str, ...] = ()


class TokenPart(Struct, frozen=True):
    """One of several access tokens of a user at one IdP, where one cannot carry everything."""

    part: str
    """What it is for, as `scopes.partition` names it: a resource at Microsoft, `bot` or `user` at Slack."""
    access_token: str
    refresh_token: str | None = None
    """Only where it has one of its own, as at Slack."""
    scopes: tuple[str, ...] | None = None
    """What its answer said that it carries, in the IdP's spelling; None where it did not say."""
    access_expires_at: datetime | None = None


class Renewing(Struct, frozen=True):
    """A renewal of the token that somebody has begun. Nobody else begins one until it is over."""

    by: str
    until: datetime
    """By the clock of who began it."""
    seconds: float = MOST_RENEWAL_SECONDS * LEASE
    """How long that was when it began."""

    def is_over(self, now: datetime, watched_seconds: float) -> bool:
        """May somebody else begin one? `watched_seconds` is for how long this very lease was seen to stand."""
        return is_over(self.until, timedelta(seconds=self.seconds), now, timedelta(seconds=watched_seconds))


class Stalled(Struct, frozen=True):
    """The IdP renews no token of this part before it has seen the user. Nobody asks it again until `until`."""

    part: str
    until: datetime


class StoredToken(Struct, frozen=True):
    """A user's upstream token at one IdP, and what its `TokenStored` event says or will say.

    Where `parts` are named, `access_token` is the first one's, and `refresh_token` renews all that have none of
    their own; `access_expires_at` is the earliest of all.
    """

    identity: Identity
    access_token: str
    refresh_token: str | None
    requested: tuple[str, ...]
    granted: tuple[str, ...] | None
    evidence: tuple[str, ...]
    known_by: str
    cause: str
    generation: int
    fingerprint: str
    predecessor: str | None
    access_expires_at: datetime | None
    idle_expires_at: datetime | None
    absolute_expires_at: datetime | None
    parts: tuple[TokenPart, ...] = ()
    renewing: Renewing | None = None
    stalled: tuple[Stalled, ...] = ()
    rests_until: datetime | None = None
    """The IdP asked that nobody renews it before then."""
    sites: Sites | None = None
    """Where it is good, if the IdP has sites; None: not read yet."""
    cleared: str = ""
    """Why it is of no use any more; then it carries no secret. Empty: it is in use."""

    @property
    def opens(self) -> bool:
        """Does its row open? If not, this only stands for it."""
        return self.generation > 0

    def piece(self, part: str) -> Piece | None:
        """The access token of a part, and what can renew it; None where the user has none. No part named: the first.

        One of several parts renews by a refresh token of its own where it has one, as at Slack.
        """
        if not self.parts:
            return Piece("", self.access_token, self.refresh_token, self.access_expires_at) if not part else None
        for one in self.parts:
            if part in ("", one.part):
                refresh_token = one.refresh_token or self.refresh_token
                return Piece(one.part, one.access_token, refresh_token, one.access_expires_at)
        return None

    def dies_idle(self, before: datetime | None) -> bool:
        """Does the IdP end it before this time, unless it is renewed?"""
        return before is not None and self.idle_expires_at is not None and self.idle_expires_at < before

    def wants_user(self, now: datetime, part: str | None = None) -> float:
        """For how many seconds nobody asks the IdP, which wants to see the user first; 0 where it does not. Of one
        part, or of any.
        """
        ends = [one.until for one in self.stalled if part in (None, one.part)]
        return max((_left(until, now, STALLED_SECONDS) for until in ends), default=0.0)

    def rests(self, now: datetime) -> float:
        """For how many seconds nobody asks the IdP, which wants to be left alone; 0 where it does not."""
        return _left(self.rests_until, now, MOST_WAIT_SECONDS) if self.rests_until is not None else 0.0

    def without_secrets(self, why: str, *, logged_generation: int) -> "StoredToken":
        """What is left of a token that is gone: who the user is upstream, and how the next one is counted.

        `logged_generation` is the latest that the log knows of: with a row that is older than that, as from a backup,
        that one is gone, too.
        """
        return replace(
            self,
            access_token="",
            refresh_token=None,
            generation=max(self.generation, logged_generation),
            parts=(),
            renewing=None,
            stalled=(),
            rests_until=None,
            sites=None,
            cleared=why,
        )


def _left(until: datetime, now: datetime, most_seconds: float) -> float:
    """How many seconds are left of a rest; none of one that only a wrong clock can have written."""
    return (until - now).total_seconds() if holds(until, now, timedelta(seconds=most_seconds)) else 0.0


def stand_in(why: str, generation: int = 0) -> StoredToken:
    """What stands for a row that does not open or is not there: a token that is gone, of somebody who is not known
    upstream. Generation 0 is that of no token, until it is known which one it stands for.
    """
    return StoredToken(
        identity=Identity(""),
        access_token="",
        refresh_token=None,
        requested=(),
        granted=None,
        evidence=(),
        known_by="assumed",
        cause="login",
        generation=generation,
        fingerprint="",
        predecessor=None,
        access_expires_at=None,
        idle_expires_at=None,
        absolute_expires_at=None,
        cleared=why,
    )


def begun(
    token: StoredToken, by: str, now: datetime, seconds: float, *, watched_seconds: float = 0.0
) -> StoredToken | None:
    """The row of one who is to renew it now; None where somebody else is at it.

    `seconds` is how long the renewal may take at most; others may be set to take longer. `watched_seconds` is for how
    long who asks has seen the present lease stand. A row that is stored under the revision it was read at is the
    lease and the fence in one: whoever comes too late, or stays away longer than the lease, finds another revision.
    """
    if token.renewing is not None and not token.renewing.is_over(now, watched_seconds):
        return None
    lease = seconds * LEASE
    return replace(token, renewing=Renewing(by, now + timedelta(seconds=lease), lease))


def given_back(token: StoredToken, *, answered: bool, now: datetime, wait_seconds: float = 0.0) -> StoredToken:
    """The row after a renewal that failed: anybody may begin the next, once the IdP was left alone as it asked.

    Where the IdP's answer never came, it may have used up the refresh token, so the row remembers that one was begun.
    """
    assert token.renewing is not None
    return replace(
        token,
        renewing=None if answered else replace(token.renewing, until=now, seconds=0.0),
        rests_until=now + timedelta(seconds=wait_seconds) if wait_seconds else None,
    )


def stalled(token: StoredToken, part: str, now: datetime) -> StoredToken:
    """The row after the IdP asked for the user in place of renewing: its secrets stay, for they are good still."""
    others = tuple(one for one in token.stalled if one.part != part)
    until = now + timedelta(seconds=STALLED_SECONDS)
    return replace(token, renewing=None, stalled=(*others, Stalled(part, until)))


class Renewal(Struct, frozen=True):
    """What the renewal of one part brought. `refresh_token` is the new one, or the old where none came."""

    part: str
    token: Token
    refresh_token: str
    granted: Granted
    clocks: Clocks
    fingerprint: str


def renewed(profile: Profile, before: StoredToken, came: Renewal) -> StoredToken:
    """The row after a renewal: the next generation. It carries no more than the one before it."""
    scopes = came.granted.scopes
    if before.parts:  # the answer speaks of one part alone: the others carry what they did
        scopes = _less_lost(profile, before, came)
    answer = Grant(scopes, came.granted.evidence)
    after = refreshed(profile, Grant(before.granted, before.evidence), answer)
    parts = tuple(_renewed_part(profile, one, came) if one.part == came.part else one for one in before.parts)
    renews_itself = any(one.part == came.part and one.refresh_token is not None for one in before.parts)
    is_first = not parts or parts[0].part == came.part
    ends = [one.access_expires_at for one in parts] or [came.clocks.access_expires_at]
    return replace(
        before,
        access_token=came.token.access_token if is_first else before.access_token,
        refresh_token=came.refresh_token if is_first or not renews_itself else before.refresh_token,
        granted=after.scopes,
        evidence=tuple(after.evidence),
        known_by=before.known_by if before.parts or scopes is None else "echoed",
        cause="refresh",
        generation=before.generation + 1,
        fingerprint=came.fingerprint,
        predecessor=before.fingerprint,
        access_expires_at=min((at for at in ends if at is not None), default=None),
        idle_expires_at=came.clocks.idle_expires_at,
        parts=parts,
        renewing=None,
        rests_until=None,
        stalled=tuple(one for one in before.stalled if one.part != came.part),
    )


def _less_lost(profile: Profile, before: StoredToken, came: Renewal) -> tuple[str, ...] | None:
    """What all parts carry, less what the renewed one carried and now does not; None where nobody said."""
    carried = next((one.scopes for one in before.parts if one.part == came.part), None)
    if before.granted is None or carried is None or came.token.scopes is None:
        return None
    lost = closure(profile, carried) - closure(profile, came.token.scopes)
    return tuple(scope for scope in before.granted if canonical_name(profile, scope) not in lost)


def _renewed_part(profile: Profile, part: TokenPart, came: Renewal) -> TokenPart:
    return replace(
        part,
        access_token=came.token.access_token,
        refresh_token=came.refresh_token if part.refresh_token is not None else None,
        scopes=refreshed(profile, Grant(part.scopes, ()), Grant(came.token.scopes, ())).scopes,
        access_expires_at=came.clocks.access_expires_at,
    )
