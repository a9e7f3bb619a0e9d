"""Which event brought each scope into an IdP's union, for whom, and since when has nobody wanted it there?"""

from collections.abc import Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from scopefold.contracts.recorded import Cause
from scopefold.scopes.canonical import canonical_name
from scopefold.scopes.profile import Profile


class Origin(Struct, frozen=True):
    """How a scope came into a union. `connector` is None for an IdP's own base scopes.

    `unwanted_since` is the event with which the last who wanted it ceased to.
    """

    cause: Cause
    connector: str | None
    unwanted_since: Cause | None = None


def settled(
    before: Mapping[str, Origin],
    profile: Profile,
    union: Collection[str],
    wanted: Collection[str],
    *,
    cause: Cause,
    connector: str | None,
) -> dict[str, Origin]:
    """The origins of all scopes of a union after the event `cause`, which `connector` is behind.

    `wanted` are canonical names. A scope that left the union loses its origin, and gets another where it comes back.
    """
    origins = {}
    for scope in union:
        origin = before.get(scope) or Origin(cause, connector)
        if canonical_name(profile, scope) in wanted:
            origin = origin if origin.unwanted_since is None else replace(origin, unwanted_since=None)
        elif origin.unwanted_since is None:
            origin = replace(origin, unwanted_since=cause)
        origins[scope] = origin
    return origins
