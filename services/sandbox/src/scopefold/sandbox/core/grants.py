"""Grants and the tokens that stand on them: who may still do what, and which refresh token still serves."""

from collections.abc import Iterable
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from scopefold.sandbox.core.state import AccessToken, App, Family, Grant, Mint, State, keep

S = TypeVar("S")


class Rotation(Struct, frozen=True):
    """How refresh tokens live at a provider. Seconds are infinite where there is no end.

    `replaces`: each use ends the token used, but the one used last may come again within the leeway; an older one ends
    the whole family where a breach does that. Otherwise every token of the family serves until the family ends.
    """

    replaces: bool
    idle_seconds: float = float("inf")
    absolute_seconds: float = float("inf")
    leeway_seconds: float = 0.0
    breach_ends_family: bool = True


def record(
    state: State[S],
    client_id: str,
    user: str,
    scopes: tuple[str, ...],
    *,
    mint: Mint,
    adds: bool,
    sites: tuple[str, ...] = (),
) -> Grant:
    """The user's grant from now on: `adds` to the scopes of the one before, or replaces them. Sites always add up."""
    key = (client_id, user)
    before = state.grants.get(key)
    kept = before.scopes if before is not None and adds else ()
    grant = Grant(
        before.id if before is not None else mint(),
        client_id,
        user,
        tuple(dict.fromkeys((*kept, *scopes))),
        tuple(sorted({*(before.sites if before is not None else ()), *sites})),
    )
    keep(state.grants, key, grant)
    return grant


def holds(state: State[S], client_id: str, user: str, scopes: Iterable[str]) -> bool:
    """Whether the user gave the app something before, and in it all of these scopes."""
    before = state.grants.get((client_id, user))
    return before is not None and set(scopes) <= set(before.scopes)


def live(state: State[S], grant: Grant) -> Grant | None:
    """The grant as it is now, or None once it was revoked, even if the user has since given a new one."""
    current = state.grants.get((grant.client_id, grant.user))
    return current if current is not None and current.id == grant.id else None


def revoke(state: State[S], *, user: str, client_id: str) -> bool:
    """Remove the grant: its codes and tokens are dead. False if there was none."""
    return state.grants.pop((client_id, user), None) is not None


def authorized(state: State[S], token: str, *, now: float) -> AccessToken | None:
    """A live access token, with its grant as it is now."""
    found = state.access_tokens.get(token)
    if found is None or now >= found.expires_at or (grant := live(state, found.grant)) is None:
        return None
    return replace(found, grant=grant)


def begin_family(state: State[S], grant: Grant, scopes: tuple[str, ...], *, now: float, mint: Mint) -> str:
    """The name of a new family of refresh tokens, still without a token."""
    return keep(state.families, mint(), Family(grant, scopes, begun_at=now, rotated_at=now, used_at=now))


def refresh_token(state: State[S], family: str, *, mint: Mint) -> str:
    """A refresh token of the family's newest generation."""
    return keep(state.refresh_tokens, mint(), (family, state.families[family].generation))


def family_of(state: State[S], token: str) -> tuple[str, Family] | None:
    """The family that a refresh token belongs to, if it has not ended."""
    name, _ = state.refresh_tokens.get(token, ("", 0))
    return None if (family := state.families.get(name)) is None else (name, family)


def use_refresh_token(state: State[S], app: App, token: str, rotation: Rotation, *, now: float) -> str | None:
    """The family that goes on with this refresh token; None if the token is dead."""
    if (found := family_of(state, token)) is None:
        return None
    name, family = found
    grant = live(state, family.grant)
    if grant is None or grant.client_id != app.client_id or now - family.begun_at > rotation.absolute_seconds:
        return None
    if now - family.used_at > rotation.idle_seconds:
        return None
    _, generation = state.refresh_tokens[token]
    state.seen.renewals += 1
    if not rotation.replaces:
        state.families[name] = replace(family, grant=grant, used_at=now)
    elif generation == family.generation:
        state.families[name] = replace(family, grant=grant, generation=generation + 1, rotated_at=now, used_at=now)
    elif generation == family.generation - 1 and now - family.rotated_at <= rotation.leeway_seconds:
        state.seen.repeats += 1
        state.families[name] = replace(family, grant=grant, used_at=now)
    else:
        # Only the token used last may be exchanged again, and only within the leeway; anything older is a breach.
        state.seen.renewals -= 1
        state.seen.breaches += 1
        if rotation.breach_ends_family:
            del state.families[name]
        return None
    return name
