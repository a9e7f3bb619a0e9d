"""The decisions of a login: to which IdP, asking for what, and what came back."""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct

from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import Lack, UserGrant, judge
from scopefold.consent.requirements import Because, requirements
from scopefold.consent.ungiven import Ungiven, given_up
from scopefold.consent.window import waiting_until
from scopefold.contracts.events import TokenCleared, TokenStored, UserErased
from scopefold.contracts.words import MAX_SCOPES
from scopefold.scopes.canonical import canonical, canonical_name
from scopefold.scopes.coverage import Grant
from scopefold.scopes.grammar import BadScope, told_scopes
from scopefold.scopes.profile import Profile
from scopefold.scopes.union import to_request

EVENT_IDS: Final = uuid.UUID("6a0d1f0e-3a0b-4b57-8c5a-6b0b5d1f7c11")

MAX_LIFETIME_SECONDS: Final = 10 * 365 * 86400
NO_RETURN: Final = timedelta(seconds=10)


class GoTo(Struct, frozen=True):
    """The login goes to this IdP."""

    idp: str


class LetChoose(Struct, frozen=True):
    """Nothing says which IdP: the user chooses among these."""

    idps: tuple[str, ...]


class NoIdp(Struct, frozen=True):
    """There is no IdP to go to, and why."""

    reason: str


def choose_idp(
    state: State, *, resources: Collection[str], hint: str | None, session_idp: str | None, default: str | None
) -> GoTo | LetChoose | NoIdp:
    """Which IdP: that of the resources, else the hinted, else the session's, else the default, else the only one.

    A resource that no connector serves, such as an app's own, says nothing of where to log in.
    """
    registered = tuple(name for name, idp in sorted(state.idps.items()) if idp.registration is not None)
    if routed := {state.routes[one] for one in resources if one in state.routes}:
        if len(routed) > 1:
            return NoIdp("the resources belong to several identity providers: ask for those of one at a time")
        (idp,) = routed
        return GoTo(idp) if idp in registered else NoIdp("the identity provider of the resource is not registered")
    if hint is not None:
        return GoTo(hint) if hint in registered else NoIdp(f"there is no identity provider {hint}")
    for preferred in (session_idp, default):
        if preferred is not None and preferred in registered:
            return GoTo(preferred)
    if len(registered) == 1:
        return GoTo(registered[0])
    return LetChoose(registered) if registered else NoIdp("no identity provider is registered yet")


def requested_scopes(idp: Idp) -> tuple[str, ...]:
    """What every login asks of an IdP: the whole union, since a narrower request may shrink a grant.

    Less what is withheld, because nobody would come through with it, and less the last that came, where they are more
    than an event can tell: of what is really asked, as who provisions and registers is told (`more_than_fits`).
    """
    withheld = set(canonical(idp.profile, idp.withheld))
    wanted = [scope for scope in idp.union if canonical_name(idp.profile, scope) not in withheld]
    while (over := len(asked := to_request(idp.profile, wanted)) - MAX_SCOPES) > 0:
        wanted = wanted[:-over]  # what identity needs is asked for all the same
    return asked


def authorize_parameters(idp: Idp) -> dict[str, str]:
    """The extra authorize parameters: the profile's, with the operator's own on top."""
    assert idp.registration is not None
    return {**idp.profile.authorize_params, **idp.registration.event.authorize_params}


def lacking(idp: Idp, grant: Grant, resources: Iterable[str]) -> tuple[Lack, ...]:
    """What a grant is known to lack for some resource types, or for everything that the IdP's connectors need.

    A grant of which the IdP did not say enough lacks nothing until a call has shown it: another consent would leave
    it as unknown as it is, so asking for one at every login would be a loop.
    """
    kinds: list[str | None] = [one for one in resources if one in idp.connectors]
    found: dict[str, Lack] = {}
    for kind in kinds or [None]:
        for lack in judge(idp, grant, requirements(idp, kind)).lacks:
            known = found.get(lack.scope, Lack(lack.scope, ()))
            found[lack.scope] = Lack(lack.scope, tuple(dict.fromkeys((*known.because, *lack.because))))
    return tuple(found.values())


def worth_asking(idp: Idp, lacks: Iterable[Lack], ungiven: Iterable[Ungiven]) -> tuple[Lack, ...]:
    """What of it another consent can bring: not what is withheld from logins, nor what was asked for twice in vain."""
    in_vain = given_up(idp, ungiven) | set(canonical(idp.profile, idp.withheld))
    return tuple(lack for lack in lacks if canonical_name(idp.profile, lack.scope) not in in_vain)


def due(
    idp: Idp, lacks: tuple[Lack, ...], resources: Iterable[str], *, now: datetime, window: timedelta
) -> tuple[Lack, ...]:
    """What of it sends a user who is logged in to consent now: all of it, or none where all of it can wait.

    While connectors are being installed, a login waits for the end of the window that the first one began, unless the
    app asks for the very resource.
    """
    asked_for = any(one in idp.connectors for one in resources)
    return lacks if asked_for or waiting_until(idp, lacks, window, now) is None else ()


def withdrawn(idp: Idp, before: Grant, after: Grant) -> tuple[str, ...]:
    """What a user gave once, was asked for again and did not give, though connectors need it; empty where not known.

    What is withheld from logins was not asked for.
    """
    if before.scopes is None:
        return ()
    lacked = {lack.scope for lack in lacking(idp, before, ())}
    lacks = worth_asking(idp, lacking(idp, after, ()), ())
    return tuple(lack.scope for lack in lacks if lack.scope not in lacked)


def asked_before(idp: Idp, lacks: Iterable[Lack], ungiven: Iterable[Ungiven]) -> dict[str, datetime]:
    """What of it the user was asked for before and did not give, and when."""
    last = {one.scope: one.last.at for one in ungiven}
    named = ((lack.scope, canonical_name(idp.profile, lack.scope)) for lack in lacks)
    return {scope: last[name] for scope, name in named if name in last}


def never_came_back(began_at: datetime, now: datetime) -> bool:
    """Is a login that the same browser began before, and that is still under way, given up? A double click is not."""
    return now - began_at >= NO_RETURN


class Reason(Struct, frozen=True):
    """Everything that one connector is waiting for, for the page that asks a user to consent."""

    because: Because
    scopes: tuple[str, ...]


def reasons(lacks: Sequence[Lack]) -> tuple[Reason, ...]:
    """What is lacking, by who needs it; a scope that several need stands with each of them."""
    found: dict[tuple[str | None, str], Reason] = {}
    for lack in lacks:
        for because in lack.because:
            key = (because.connector, because.title)
            known = found.get(key, Reason(because, ()))
            found[key] = Reason(min(known.because, because, key=_moment), (*known.scopes, lack.scope))
    return tuple(found.values())


def _moment(because: Because) -> int:
    return because.cause.seq


class Granted(Struct, frozen=True):
    """What the token answer says was granted, and how that is known."""

    scopes: tuple[str, ...] | None
    evidence: tuple[Literal["identity", "refresh_token"], ...]
    known_by: Literal["echoed", "assumed"]


def read_grant(profile: Profile, answer: Mapping[str, object]) -> Granted:
    """The grant in a token answer whose identity was then looked up. Raises `BadScope`.

    RFC 6749, section 5.1: a missing `scope` means "as requested". Users can untick scopes at many providers, so that
    is not taken for knowledge: the log says that the IdP did not say, and the profile what that is worth. What is
    too long for an event is no grant either.
    """
    proved: tuple[Literal["identity", "refresh_token"], ...] = ("identity",)
    if answer.get("refresh_token"):
        proved = ("identity", "refresh_token")
    if (scopes := told_scopes(profile, answer)) is None:
        return Granted(None, proved, "assumed")
    if len(scopes) > MAX_SCOPES:
        raise BadScope("the answer names more scopes than an event of the log can carry")
    return Granted(scopes, proved, "echoed")


class Clocks(Struct, frozen=True):
    """When a token dies: by itself, unused, or in any case."""

    access_expires_at: datetime | None
    idle_expires_at: datetime | None
    absolute_expires_at: datetime | None


def clocks(profile: Profile, *, now: datetime, expires_in_seconds: float | None, has_refresh_token: bool) -> Clocks:
    """A token's clocks from the provider's answer and its profile.

    An answer may leave out how long the token lives (RFC 6749, section 5.1): one that can be renewed then lives as long
    as they do there, for nobody would renew one that lives for ever.
    """

    def after(seconds: float | None) -> datetime | None:
        return None if seconds is None else now + timedelta(seconds=min(max(seconds, 0), MAX_LIFETIME_SECONDS))

    refresh = profile.refresh
    if expires_in_seconds is None and has_refresh_token:
        expires_in_seconds = refresh.access_seconds
    return Clocks(
        access_expires_at=after(expires_in_seconds),
        idle_expires_at=after(refresh.idle_seconds) if has_refresh_token else None,
        absolute_expires_at=after(refresh.absolute_seconds) if has_refresh_token else None,
    )


def present_grant(
    scopes: tuple[str, ...] | None, evidence: Sequence[str], generation: int, held: UserGrant | None
) -> Grant:
    """The grant of the token in the vault, less what calls have shown to be missing from it.

    The fold may not have come to this token yet: what it knows of the one before does not count against this one.
    """
    disproved = held.grant.disproved if held is not None and held.generation >= generation else ()
    return Grant(scopes, tuple(evidence), disproved)


def token_stored_id(tenant: str, event: TokenStored) -> str:
    """The id of a `TokenStored`: told from the token alone, so that appending it again is harmless."""
    told = f"token-stored:{tenant}:{event.user}:{event.idp}:{event.generation}:{event.fingerprint}"
    return str(uuid.uuid5(EVENT_IDS, told))


def token_cleared_id(tenant: str, event: TokenCleared) -> str:
    """The id of a `TokenCleared`: a token is cleared once, whoever comes upon it."""
    return str(uuid.uuid5(EVENT_IDS, f"token-cleared:{tenant}:{event.user}:{event.idp}:{event.generation}"))


def user_erased_id(tenant: str, event: UserErased) -> str:
    """The id of a `UserErased`: a user is erased once, however often that has to be begun."""
    return str(uuid.uuid5(EVENT_IDS, f"user-erased:{tenant}:{event.user}:{event.idp}"))


def attempt_event_id(name: str, tenant: str, attempt: str) -> str:
    """The id of an event that a login attempt gives rise to at most once."""
    return str(uuid.uuid5(EVENT_IDS, f"{name}:{tenant}:{attempt}"))
