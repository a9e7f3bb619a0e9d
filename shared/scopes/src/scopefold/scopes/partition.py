"""Which token carries a scope: one per resource at Microsoft, bot or user at Slack; and what holds at one site."""

from collections.abc import Iterable

from scopefold.scopes.canonical import canonical, canonical_name, closure, resource_of
from scopefold.scopes.coverage import Grant
from scopefold.scopes.grammar import list_of
from scopefold.scopes.profile import Profile


def part_of(profile: Profile, scope: str) -> str:
    """Names the token that carries this scope: its resource, or its kind where the provider has several.

    Empty where one token carries everything, and for what any token carries, as `offline_access` at Microsoft.
    """
    if profile.resources is not None:
        return resource_of(profile, canonical_name(profile, scope))
    return list_of(profile, scope).kind if len(profile.scope_lists) > 1 else ""


def partition(profile: Profile, scopes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The scopes by the token that carries them, in the order of first sight."""
    parts: dict[str, tuple[str, ...]] = {}
    for scope in dict.fromkeys(scopes):
        part = part_of(profile, scope)
        parts[part] = (*parts.get(part, ()), scope)
    return parts


def token_requests(profile: Profile, scopes: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """The scopes of each token request that it takes to redeem all of these, where a token is for one resource.

    The first is for the code and carries what belongs to no resource; the others go with the refresh token that it
    brought. Microsoft refuses a token request that names two resources (AADSTS28000).
    """
    if profile.resources is None:
        return (tuple(dict.fromkeys(scopes)),)
    parts = partition(profile, scopes)
    anywhere = parts.pop("", ())
    first, *others = parts.values() or ((),)
    return ((*first, *anywhere), *others)


def at_site(profile: Profile, grant: Grant, site_scopes: Iterable[str]) -> Grant:
    """What of a grant holds at one site, where the provider lists scopes per site.

    `site_scopes` is what the provider says of the site (Atlassian: accessible-resources). What is not bound to a
    site holds at each. Whether a site may list more than the token carries is not settled; it does not count.
    """
    if profile.account_wide is None:
        return grant
    listed = canonical(profile, site_scopes)
    if grant.scopes is None:
        return Grant(listed, grant.evidence, grant.disproved)
    wide = set(canonical(profile, profile.account_wide))
    carried = closure(profile, grant.scopes)
    held = {name for name in canonical(profile, grant.scopes) if name in wide}
    return Grant(tuple(sorted(held | {name for name in listed if name in carried})), grant.evidence, grant.disproved)
