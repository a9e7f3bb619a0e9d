"""What of a stored token a call may have: which access token, whether it must be renewed first, or what is missing."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from scopefold.auth.core.login import lacking, present_grant
from scopefold.auth.core.sites import Site
from scopefold.auth.core.stored_token import Piece, StoredToken
from scopefold.consent.idp_scopes import Connector, Idp
from scopefold.consent.reconsent import UserGrant
from scopefold.scopes.coverage import Grant, Missing, covers
from scopefold.scopes.partition import at_site, part_of
from scopefold.scopes.profile import Profile
from scopefold.scopes.update import taken_as_told

RENEW_AHEAD_SECONDS: Final = 60
"""A token that lives no longer than this is renewed before it is handed out."""


class BadWish(ValueError):
    """The call asks for scopes that its connector does not declare, or that no single token carries."""


def wanted_scopes(connector: Connector, scopes: Sequence[str]) -> tuple[str, ...]:
    """What a call needs: what it names, else all that the connector needs. Raises `BadWish`."""
    declared = {*connector.upstream_scopes, *(scope for clause in connector.alternatives for scope in clause)}
    if unknown := [scope for scope in scopes if scope not in declared]:
        raise BadWish(f"The connector {connector.connector} does not declare the scope {unknown[0]}.")
    return tuple(dict.fromkeys(scopes))


def grant_of(idp: Idp, token: StoredToken, held: UserGrant | None) -> Grant:
    """What a stored token is known to be good for."""
    told = taken_as_told(idp.profile, token.granted, token.requested)
    return present_grant(told, token.evidence, token.generation, held)


def missing_scopes(
    idp: Idp,
    kind: str,
    scopes: Sequence[str],
    token: StoredToken,
    held: UserGrant | None,
    *,
    site: Site | None = None,
) -> tuple[str, ...]:
    """What a stored token surely lacks for a call: of `scopes`, or, where none is named, of all its connector needs.

    Where the call is for a site: what it lacks there.
    """
    grant = grant_of(idp, token, held)
    if site is not None:
        grant = at_site(idp.profile, grant, site.scopes)
    if not scopes:
        return tuple(lack.scope for lack in lacking(idp, grant, [kind]))
    coverage = covers(idp.profile, grant, tuple(scopes))
    return coverage.scopes if isinstance(coverage, Missing) else ()


def part_for(profile: Profile, connector: Connector, scopes: Sequence[str]) -> str:
    """The part whose token carries these scopes, or the connector's. Raises `BadWish` where they lie in several."""
    parts = {part for scope in scopes or connector.upstream_scopes if (part := part_of(profile, scope))}
    if len(parts) > 1:
        raise BadWish(f"One token cannot carry scopes of {' and '.join(sorted(parts))}: name those of one.")
    return parts.pop() if parts else ""


def has_ended(known: UserGrant, generation: int) -> bool:
    """Does the log say that this token is gone, and did no other come since?"""
    gone = known.cleared is not None or known.removed is not None
    return known.erased is not None or (gone and generation <= known.generation)


def must_renew(profile: Profile, piece: Piece, now: datetime) -> bool:
    """Is the token so near its end that it is renewed before it is handed out?"""
    if piece.expires_at is None:
        return False
    usual = profile.refresh.access_seconds
    ahead = RENEW_AHEAD_SECONDS if usual is None else min(RENEW_AHEAD_SECONDS, usual // 4)
    return piece.expires_at - timedelta(seconds=ahead) <= now


def why_ended(token: StoredToken, *, logged_generation: int, begun_before: bool, now: datetime) -> str:
    """Why a provider takes a refresh token no more, by what is known of it here.

    `logged_generation` is the latest that the log knows of the user: one that is past the vault's row means that the
    row is older than the user's last token, as after a backup was restored.
    """
    if any(at is not None and at <= now for at in (token.idle_expires_at, token.absolute_expires_at)):
        return "expired"
    if logged_generation > token.generation:
        return "raced"
    return "lost" if begun_before else "revoked"


def is_dead(profile: Profile, error: str, description: str) -> bool:
    """Does a provider's refusal say that the refresh token is no more (RFC 6749, section 5.2, or its own spelling)?

    Anything else may pass by itself.
    """
    if needs_user(profile, error, description):
        return False
    return _is_one_of(("invalid_grant", *profile.refresh.dead_errors), error, description)


def needs_user(profile: Profile, error: str, description: str) -> bool:
    """Does a provider's refusal say that it wants to see the user, while the refresh token lives on?

    As where a policy asks for a second factor: a login mends it, and so may time.
    """
    return _is_one_of(profile.refresh.user_errors, error, description)


def _is_one_of(spellings: Iterable[str], error: str, description: str) -> bool:
    for known in spellings:
        code, _, words = known.partition(": ")
        if error == code and words.casefold() in description.casefold():
            return True
    return False
