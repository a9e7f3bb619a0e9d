"""The tokens that one login brings: one, or one for each resource (Microsoft), or the bot's and the user's (Slack)."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from scopefold.auth.core.login import Granted, read_grant
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.grammar import BadScope, member, parse
from scopefold.scopes.partition import part_of, token_requests
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import union

MAX_REQUESTS: Final = 10
"""Of one login, one for each resource. What would need more is not fetched, and shows as missing."""


class BadTokenAnswer(ValueError):
    """The answer carries no token, or one that is none."""


class Token(Struct, frozen=True):
    """One access token. `part` names what it is for, as `scopes.partition` does; empty where one carries everything."""

    part: str
    access_token: str
    refresh_token: str | None = None
    expires_in: float | None = None
    scopes: tuple[str, ...] | None = None


_Text = Annotated[str, Meta(pattern=r"^[\x21-\x7e]{0,32768}\Z")]
"""A token as it can be sent on in a header (RFC 6749, appendix A.12, less the space; RFC 6750, section 2.1)."""


class _Told(Struct, frozen=True):
    """What is used of a token answer, or of an object within it (RFC 6749, section 5.1)."""

    access_token: _Text | None = None
    refresh_token: _Text | None = None
    expires_in: object = None


def requests(profile: Profile, asked: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The scopes of each token request: the first is for the code, the others are for its refresh token."""
    return token_requests(profile, asked)[:MAX_REQUESTS]


def without_scopes(profile: Profile, answer: Mapping[str, object]) -> dict[str, object]:
    """The same answer, which says nothing of scopes."""
    left = dict(answer)
    for path in (path for one in profile.scope_lists for path in one.members):
        outer, _, name = path.rpartition(".")
        inner = member(answer, outer) if outer else answer
        if outer and isinstance(inner, Mapping):
            left[outer] = {key: value for key, value in inner.items() if key != name}
        elif not outer:
            left.pop(name, None)
    return left


def request_scope(profile: Profile, scopes: Sequence[str]) -> str | None:
    """What a token request says of scopes: nothing, but where a token is for one resource."""
    return None if profile.resources is None else profile.request_separator.join(scopes)


def tokens_in(profile: Profile, scopes: Sequence[str], answer: Mapping[str, object]) -> tuple[Token, ...]:
    """The tokens of one answer, which was asked for with these scopes. Raises `BadTokenAnswer` and `BadScope`.

    Where a provider keeps several lists of scopes, each list's token stands beside it: Slack's bot's in the answer
    itself, the user's in `authed_user`. An answer may lack some, but not all.
    """
    if len(profile.scope_lists) == 1:
        told = _told(answer)
        granted = read_grant(profile, answer).scopes
        found = [_token(_resource(profile, scopes), told, granted)] if told.access_token else []
    else:
        found = []
        for one in profile.scope_lists:
            path, _, name = one.members[0].rpartition(".")
            inner = member(answer, path) if path else answer
            told = _told(inner)
            if told.access_token and isinstance(inner, Mapping):
                text = inner.get(name)
                listed = parse(profile, text) if isinstance(text, str) else None
                found.append(_token(one.kind, told, listed and tuple(one.prefix + scope for scope in listed)))
    if not found:
        raise BadTokenAnswer("the answer carries no access token")
    return tuple(found)


def token_of(profile: Profile, part: str, tokens: Sequence[Token]) -> Token:
    """The token of a part among those that its renewal brought.

    Slack answers the renewal of a user's token as that of the bot's: it stands in the answer itself, its scopes bare.
    """
    first = next((one for one in tokens if one.part == part), tokens[0])
    if first.part == part or first.scopes is None:
        return replace(first, part=part)
    prefix = next((one.prefix for one in profile.scope_lists if one.kind == part), "")
    return replace(first, part=part, scopes=tuple(prefix + scope for scope in first.scopes))


def joined(grants: Sequence[Granted]) -> Granted:
    """What all answers together say was granted. Where one of them did not say, the whole is not known.

    Raises `BadScope` where that is more than an event can carry.
    """
    scopes = None
    if all(grant.scopes is not None for grant in grants):
        scopes = union(*(grant.scopes or () for grant in grants))
        if len(scopes) > MAX_SCOPES:
            raise BadScope("the answers name more scopes than an event of the log can carry")
    proved = dict.fromkeys(one for grant in grants for one in grant.evidence)
    return Granted(scopes, tuple(proved), "assumed" if scopes is None else "echoed")


def _token(part: str, told: _Told, scopes: tuple[str, ...] | None) -> Token:
    assert told.access_token
    return Token(part, told.access_token, told.refresh_token, _seconds(told.expires_in), scopes)


def _seconds(said: object) -> float | None:
    """How long a token lives; None where that cannot be read, as where nothing is said of it."""
    try:
        seconds = msgspec.convert(said, int | float, strict=False)
    except msgspec.ValidationError:
        return None
    return seconds if isinstance(seconds, int) or math.isfinite(seconds) else None


def _resource(profile: Profile, scopes: Sequence[str]) -> str:
    """Which resource a request is for; the default one where none of its scopes names any."""
    if profile.resources is None:
        return ""
    named = (part_of(profile, scope) for scope in scopes)
    return next((part for part in named if part), profile.resources.default)


def _told(answer: Any) -> _Told:
    try:
        return msgspec.convert(answer if isinstance(answer, Mapping) else {}, _Told, strict=False)
    except msgspec.ValidationError as error:
        raise BadTokenAnswer(str(error)) from None
