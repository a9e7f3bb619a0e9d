"""What an app was granted on behalf of a user by one authorization, and the refresh tokens that continue it.

A family begins with a code. Its id follows from the code, so that storing it is also the one redemption of that code,
and whoever brings the code again finds what came of it. A refresh token is `rt_{handle}.{secret}`: the handle, which
only holders of the family's tokens know, leads to the family; the secret is new at every rotation, and only its hash
is kept. A right handle with any other secret is a token that was used up: somebody has a copy (RFC 9700, section
4.14.2).
"""

import base64
import hashlib
import hmac
import re
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

IDLE_SECONDS: Final = 30 * 86400
ABSOLUTE_SECONDS: Final = 90 * 86400
MAX_SECONDS: Final = 365 * 86400
REMEMBER_SECONDS: Final = 1200
"""How long a family is kept past its end: longer than its codes and access tokens live."""
OFFLINE: Final = "offline_access"
_REFRESH_TOKEN: Final = re.compile(r"rt_([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")

Ended = Literal["code-reused", "refresh-token-reused", "client"]


class Family(Struct, frozen=True, kw_only=True, gc=False):
    """One authorization and what came of it. Kept under its id; it holds no token, only the hash of a secret."""

    client_id: str
    user: str
    idp: str
    scope: str
    authenticated_at: datetime
    issued_at: datetime
    used_at: datetime
    user_ends: int
    """How often everything of this user had been ended when the family began: one end more, and it is over."""
    idp_since: int = 0
    """The event that had first registered the IdP when the family began; 0: it was not noted then."""
    resource: tuple[str, ...] = ()
    acr: str | None = None
    sid: str | None = None
    claims: tuple[str, ...] = ()
    """Claims that the client asked for by name."""
    registration: str = ""
    """Which registration of the client it was begun by; empty: it was not noted then."""
    issuer: str = ""
    """Who issued its code: its refresh tokens are good there alone."""
    dpop_jkt: str | None = None
    """The thumbprint of the key that its refresh tokens are bound to (RFC 9449, section 5)."""
    generation: int = 0
    """How many refresh tokens there have been."""
    current: str | None = None
    """The hash of the present refresh token's secret."""
    idle_seconds: int = 0
    absolute_expires_at: datetime | None = None
    ended: Ended | None = None

    @property
    def offline(self) -> bool:
        """May it outlive the session that it began in (OpenID Connect Core 1.0, section 11)?"""
        return OFFLINE in self.scope.split()

    @property
    def expires_at(self) -> datetime | None:
        """When its refresh token dies, if it has one."""
        if self.current is None or self.absolute_expires_at is None:
            return None
        return min(self.used_at + timedelta(seconds=self.idle_seconds), self.absolute_expires_at)


def handle_of(code: str) -> str:
    """What leads from an authorization code to the family that it began. It tells nothing of the code."""
    return _hash(f"the family of {code}")


def family_id(handle: str) -> str:
    """The family's id, 128 bits. It stands in access tokens and tells nothing of the handle."""
    return _hash(handle)[:22]


class Presented(Struct, frozen=True):
    """A refresh token as it was presented."""

    handle: str
    secret_hash: str


def read_refresh_token(text: str) -> Presented | None:
    """A refresh token's parts, or None where the text is none."""
    found = _REFRESH_TOKEN.fullmatch(text)
    return Presented(found[1], _hash(found[2])) if found else None


def write_refresh_token(handle: str, secret: str) -> str:
    """The refresh token of this family with this secret: 256 random bits in base64url."""
    return f"rt_{handle}.{secret}"


def with_lifetime(
    family: Family, *, idle_seconds: int | None, absolute_seconds: int | None, session_seconds: int
) -> Family:
    """The family with its clocks, the client's own or the defaults. Without `offline_access` its session bounds it."""
    idle, absolute = idle_seconds or IDLE_SECONDS, min(absolute_seconds or ABSOLUTE_SECONDS, MAX_SECONDS)
    ends = family.issued_at + timedelta(seconds=absolute)
    if not family.offline:
        ends = min(ends, family.authenticated_at + timedelta(seconds=session_seconds))
    return replace(family, idle_seconds=idle, absolute_expires_at=ends)


def rotated(family: Family, secret: str, now: datetime) -> Family:
    """The family once its next refresh token is out."""
    return replace(family, current=_hash(secret), generation=family.generation + 1, used_at=now)


def judge(
    family: Family | None, presented: Presented, client_id: str, now: datetime
) -> Literal["good", "refused", "reused"]:
    """What a refresh token is worth to the client that presents it.

    `reused`: it is of this client's family and was used up, so the family must be ended. A token in the hands of
    another client is refused and changes nothing: a public client's name proves nothing.
    """
    if family is None or family.client_id != client_id or family.current is None:
        return "refused"
    if not hmac.compare_digest(family.current, presented.secret_hash):
        return "reused"
    expires_at = family.expires_at
    if family.ended is not None or expires_at is None or expires_at <= now:
        return "refused"
    return "good"


def is_over(family: Family, *, user_ends: int, session_ended: bool, idp_since: int | None) -> bool:
    """Was it ended: by itself, with all that its user granted, with its session, or with its IdP?

    `idp_since` is the event that first registered the IdP; None: it is not registered. One that was removed and
    registered anew is another.
    """
    if idp_since is None or family.idp_since not in (0, idp_since):
        return True
    return family.ended is not None or family.user_ends < user_ends or (session_ended and not family.offline)


def keep_seconds(family: Family, now: datetime) -> int:
    """For how long it must be remembered from now on."""
    expires_at = None if family.ended is not None else family.expires_at
    left = 0 if expires_at is None else max(0, int((expires_at - now).total_seconds()))
    return left + REMEMBER_SECONDS


def _hash(text: str) -> str:
    """256 bits in base64url. What is hashed here is random, so it needs no key and no salt."""
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
