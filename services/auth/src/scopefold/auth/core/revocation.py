"""What is given back to an IdP when a user's tokens have gone, and what its answers mean."""

from typing import Final, Literal

from msgspec import Struct

from scopefold.auth.core.stored_token import StoredToken
from scopefold.scopes.profile import Profile

Kind = Literal["refresh_token", "access_token"]
Verdict = Literal["ended", "gone", "refused", "perhaps-later"]
TOO_MANY: Final = 429


class ToEnd(Struct, frozen=True):
    """One token to give back. `kind` is as RFC 7009, section 2.1, hints it."""

    kind: Kind
    token: str


def to_end(profile: Profile, row: StoredToken) -> tuple[ToEnd, ...]:
    """The user's tokens that the provider takes back, refresh tokens first: each once, and those of nobody else."""
    own = profile.revocation
    pieces = [row.piece(one.part) for one in row.parts if not own.parts or one.part in own.parts]
    pieces = pieces if row.parts else [row.piece("")]
    found: list[ToEnd] = []
    if own.takes != "access":
        found += [ToEnd("refresh_token", one.refresh_token) for one in pieces if one is not None and one.refresh_token]
    if own.takes != "refresh":
        found += [ToEnd("access_token", one.access_token) for one in pieces if one is not None and one.access_token]
    return tuple(dict.fromkeys(found))


def verdict(profile: Profile, status: int, error: str | None) -> Verdict:
    """What an answer says of the token. `error` is the code in it, which may come with any status, as at Slack."""
    code = error or f"http_{status}"
    if code in profile.revocation.gone:
        return "gone"
    if error is None and 200 <= status < 300:
        return "ended"
    return "perhaps-later" if status >= 500 or status == TOO_MANY else "refused"
