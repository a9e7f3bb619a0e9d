"""What a user was asked for and did not give, how often, what was given once, and who is to be asked about it next?

A scope can be missing from a grant because it was never asked for, because the user did not allow it, or because the
provider does not give it to this app at all. Only asking again helps the first, only the user the second, and only
whoever runs the app at the provider the third.
"""

from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final, Literal

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import ConsentDeclined, TokenStored
from scopefold.contracts.recorded import Cause
from scopefold.scopes.canonical import canonical, canonical_name, closure, tables
from scopefold.scopes.classify import kind_of
from scopefold.scopes.coverage import Grant, held
from scopefold.scopes.profile import Profile

ASKED_AT_MOST: Final = 2
MANY_USERS: Final = 3

Why = Literal["never-asked", "not-allowed", "not-given", "not-renewed", "disproved", "cleared"]
"""Never asked for; asked for, and this user did not allow it; asked for, and the provider gives it to nobody; granted,
and left out by the provider when the token was renewed; granted, as the provider says, but a call has met a token
without it; granted, but the token is gone.

Where a login was not told what it granted, the first renewal that tells speaks for it: a renewal carries what was
granted (RFC 6749, section 6), so what it lacks of what was asked was not given."""


class Ungiven(Struct, frozen=True):
    """A scope, by its canonical name, that a user was asked for this many times in a row, in vain; the last time."""

    scope: str
    times: int
    last: Cause


class Asked(Struct, frozen=True, gc=False):
    """What a user was asked for at a login or a step-up, by canonical names, and which event says so."""

    scopes: tuple[str, ...]
    cause: Cause


class Declined(Struct, frozen=True):
    """A user said no to all that was asked, the last time: what the grant lacks of that, by canonical names."""

    scopes: tuple[str, ...]
    cause: Cause


def said_no(
    before: Declined | None, profile: Profile, event: ConsentDeclined, grant: Grant, cause: Cause
) -> Declined | None:
    """What a user, whose canonical grant is `grant`, said no to, after saying no once more.

    It does not count as asking in vain: whoever cancels may have come at a bad time, and is asked again.
    """
    asked = _names(profile, event.requested) - held(profile, grant).carried
    return Declined(tuple(sorted(asked)), cause) if asked else before


def came_of_asking(
    profile: Profile,
    event: TokenStored,
    grant: Grant,
    cause: Cause,
    *,
    before: tuple[Ungiven, ...],
    not_told: Asked | None,
) -> tuple[tuple[Ungiven, ...], Asked | None]:
    """What was asked for in vain after one more token, whose canonical grant is `grant`; and what was asked for, but
    nobody knows yet what came of it, as `not_told` was before.

    Where an answer does not say what it grants, only what proves itself is known. A refresh asks nobody, but it may be
    the first to say.
    """
    if event.cause == "refresh":
        if grant.scopes is None or not_told is None:
            return before, not_told
        return _in_vain(before, profile, not_told, grant), None
    names = _names(profile, event.requested)
    if grant.scopes is not None:
        return _in_vain(before, profile, Asked(_in_order(names), cause), grant), None
    proved = names.intersection(tables(profile).virtual)
    known, rest = (Asked(_in_order(some), cause) for some in (proved, names - proved))
    return _in_vain(before, profile, known, grant), rest


def _in_vain(before: tuple[Ungiven, ...], profile: Profile, asked: Asked, grant: Grant) -> tuple[Ungiven, ...]:
    """What was asked for in vain, once it is known of one more asking that the canonical grant `grant` came of it.

    What calls have disproved since was given, as the provider says.
    """
    have = held(profile, grant)
    given = have.carried | have.disproved
    if not before and given.issuperset(asked.scopes):
        return ()
    times = {one.scope: one for one in before if one.scope not in given}
    for name in asked.scopes:
        if name not in given:
            times[name] = Ungiven(name, times[name].times + 1 if name in times else 1, asked.cause)
    return tuple(times[name] for name in sorted(times))


def left_out(profile: Profile, before: tuple[str, ...], was: Grant, now: Grant) -> tuple[str, ...]:
    """What renewals left out since the last consent, by canonical names, after one that made of the grant `was` the
    grant `now`; `before` is what those before it left out.

    RFC 6749, section 6, lets a renewed token have less scope than the one before it.
    """
    if now == was or was.scopes is None:
        return before
    have = held(profile, now)
    still = have.carried | have.disproved  # what calls have disproved, the provider still says
    return tuple(name for name in canonical(profile, (*before, *was.scopes)) if name not in still)


def given_up(idp: Idp, ungiven: Iterable[Ungiven]) -> frozenset[str]:
    """The canonical names of scopes that asking once more would not bring: it was tried twice.

    What an operator has restored since is tried again.
    """
    return frozenset(
        one.scope
        for one in ungiven
        if one.times >= ASKED_AT_MOST and (one.scope not in idp.restored or idp.restored[one.scope] < one.last)
    )


def why(
    profile: Profile,
    scope: str,
    ungiven: Collection[str],
    *,
    declined: Collection[str] = (),
    not_renewed: Collection[str] = (),
    disproved: Collection[str] = (),
    users_with: int,
    users_without: int,
) -> Why:
    """Why a user's grant lacks a scope. `ungiven` are the names of what the user was asked for in vain, `declined`
    of what was asked when the user said no to all of it, `not_renewed` of what was granted and left out when the token
    was renewed, `disproved` of what calls have shown to be missing from this very token although it was granted; the
    counts are of the users at the IdP who were given it, and were not.
    """
    name = canonical_name(profile, scope)
    if name in ungiven:
        return (
            "not-given" if nobody_gets(profile, users_with=users_with, users_without=users_without) else "not-allowed"
        )
    if name in declined:
        return "not-allowed"
    if not_renewed and name in closure(profile, not_renewed):
        return "not-renewed"
    return "disproved" if name in disproved else "never-asked"


def nobody_gets(profile: Profile, *, users_with: int, users_without: int) -> bool:
    """Does the provider give a scope to nobody, so that it is not the users who leave it out?

    Where a provider asks for all or nothing, what it left out was not the user's to leave out.
    """
    return users_with == 0 and (profile.consent == "whole" or users_without >= MANY_USERS)


@lru_cache(maxsize=1024)
def _in_order(names: frozenset[str]) -> tuple[str, ...]:
    """The same tuple for all who were asked for the same."""
    return tuple(sorted(names))


@lru_cache(maxsize=1024)
def _names(profile: Profile, requested: tuple[str, ...]) -> frozenset[str]:
    supported = (scope for scope in requested if kind_of(profile, scope) in ("grantable", "virtual"))
    return frozenset(canonical(profile, supported))
