"""Whether a logout token of an IdP is what it says: OpenID Connect Back-Channel Logout 1.0, sections 2.4 and 2.6."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from joserfc import jws
from msgspec import Struct

from scopefold.auth.core.id_token import LEEWAY_SECONDS, BadIdToken, check_issuer, signed_claims, time_in

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE_SECONDS: Final = 3600
"""An older one is refused whatever its `exp` says, so that those which were used need not be remembered for longer.
The standard recommends two minutes."""

MAX_LENGTH: Final = 255
_TYPES: Final = ("logout+jwt", "application/logout+jwt", "jwt")
"""The type is recommended only (section 2.4); one that names another kind of token is none of these."""


class BadLogoutToken(BadIdToken):
    """The logout token says nothing that can be acted on."""


class LoggedOut(Struct, frozen=True):
    """Who logged out at the IdP: this user everywhere, or of this session there. At least one of the two is named."""

    sub: str | None
    sid: str | None
    jti: str
    good_until: float
    """Seconds since 1970; until then it must be remembered as used."""


def read_logout_token(
    token: str, keys: Mapping[str, object], *, issuer: str, client_id: str, now: datetime
) -> LoggedOut:
    """What a logout token says that one of the keys of this JWK set signed, for us, just now. Whether it comes for the
    first time is for the store to say. `issuer` may be Microsoft's template, as with an ID token.

    Raises `BadIdToken`, and of that `UnknownKey` where reading the keys again may help.
    """
    claims = signed_claims(token, keys)
    if str(jws.extract_compact(token.encode()).headers().get("typ", "jwt")).lower() not in _TYPES:
        raise BadLogoutToken("typ")
    check_issuer(claims, issuer)
    told = claims.get("aud")
    if client_id not in (told if isinstance(told, list) else [told]):
        raise BadLogoutToken("audience")
    good_until = _good_until(claims, now.timestamp())
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(EVENT), dict):
        raise BadLogoutToken("events")
    if "nonce" in claims:  # so that no ID token, which has one, passes for a logout token
        raise BadLogoutToken("nonce")
    sub, sid, jti = (_text(claims, name) for name in ("sub", "sid", "jti"))
    if sub is None and sid is None:
        raise BadLogoutToken("sub_and_sid")
    if jti is None:
        raise BadLogoutToken("jti")
    return LoggedOut(sub, sid, jti, good_until)


def _good_until(claims: Mapping[str, object], now: float) -> float:
    """Until when it may come. `iat` must be there; `exp`, which older drafts do not have, counts where it is."""
    issued = time_in(claims, "iat")
    expires = time_in(claims, "exp") if "exp" in claims else math.inf
    if issued is None or issued > now + LEEWAY_SECONDS:
        raise BadLogoutToken("iat")
    if expires is None or now >= min(expires, issued + MAX_AGE_SECONDS) + LEEWAY_SECONDS:
        raise BadLogoutToken("expired")
    return min(expires, issued + MAX_AGE_SECONDS) + LEEWAY_SECONDS


def _text(claims: Mapping[str, object], name: str) -> str | None:
    """A claim that is text; None where there is none."""
    if name not in claims:
        return None
    value = claims[name]
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_LENGTH:
        raise BadLogoutToken(name)
    return value
