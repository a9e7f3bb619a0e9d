"""Claims about a user (OpenID Connect Core 1.0, sections 5.1 and 5.4): the same in ID tokens and at UserInfo."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from scopefold.auth.core.stored_token import Identity

SCOPE_CLAIMS: Final[Mapping[str, tuple[str, ...]]] = {
    "profile": ("name", "given_name", "family_name", "preferred_username"),
    "email": ("email", "email_verified"),
    "groups": ("groups",),
}
SCOPES: Final = ("openid", "profile", "email", "address", "phone", "groups")
"""What may be asked for. No upstream IdP is asked for an address or a telephone number, so two of them open nothing."""


def user_claims(
    user: str,
    identity: Identity | None,
    groups: Iterable[str],
    scopes: Collection[str],
    asked: Collection[str] = (),
) -> dict[str, Any]:
    """The claims that these scopes open, and those asked for by name; what nobody knows is left out.

    `groups` are those that the operator gave; the IdP's join them.
    """
    known: dict[str, Any] = {}
    if identity is not None:
        known = {
            "name": identity.name,
            "given_name": identity.given_name,
            "family_name": identity.family_name,
            "preferred_username": identity.preferred_username or identity.email or identity.name,
            "email": identity.email,
            "email_verified": identity.email_verified if identity.email is not None else None,
        }
    known["groups"] = sorted({*groups, *(identity.groups if identity is not None else ())})
    opened = {name for scope, names in SCOPE_CLAIMS.items() if scope in scopes for name in names} | set(asked)
    return {"sub": user, **{name: value for name, value in known.items() if name in opened and value is not None}}


def opening(claims: Iterable[str], scopes: Iterable[str]) -> tuple[str, ...]:
    """Of these scopes, those that open one of the claims."""
    names = set(claims)
    return tuple(scope for scope in scopes if names.intersection(SCOPE_CLAIMS.get(scope, ())))


def permitted(asked: Iterable[str], scopes: Collection[str]) -> tuple[str, ...]:
    """Of claims asked for by name, those that a client with these registered scopes may have."""
    allowed = {name for scope in scopes for name in SCOPE_CLAIMS.get(scope, ())}
    return tuple(name for name in asked if name in allowed)
