"""Is there what a question names? What is mistyped must not read as if nobody had to consent."""

from collections.abc import Callable, Iterable
from datetime import UTC
from typing import Final, Literal

from scopefold.consent.idp_scopes import Idp, State
from scopefold.contracts.recorded import AsOf
from scopefold.scopes.canonical import canonical, canonical_name

MOST_TOLD: Final = 20
LONGEST: Final = 80


class NotThere(LookupError):
    """A question names an IdP, a connector, a scope or a user that is not there at the moment that is asked about."""

    def __init__(
        self,
        kind: Literal["unknown-idp", "unknown-connector", "unknown-scope", "unknown-user"],
        title: str,
        detail: str,
    ) -> None:
        super().__init__(f"{title}: {detail}")
        self.kind: Final = kind
        self.title: Final = title
        self.detail: Final = detail


def look_up(scopes: State, as_of: AsOf, *, idp: str | None = None, connector: str | None = None) -> None:
    """Look whether what is named is there. A connector goes by its id or resource type, and is there where it is
    provisioned: at the IdP that is named too, or at any. Raises `NotThere`.
    """
    if idp is not None and idp not in scopes.idps:
        if (cause := scopes.removed.get(idp)) is not None:
            by = f"{idp}, by event {cause.seq} of {cause.at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
            raise NotThere("unknown-idp", "This identity provider was removed", f"{by}. {_there(scopes.idps, as_of)}")
        title = "There is no such identity provider"
        raise NotThere("unknown-idp", title, f"{_shown(idp)}. {_there(scopes.idps, as_of)}")
    if connector is not None:
        there = [one for name, at in scopes.idps.items() if idp in (None, name) for one in at.connectors.values()]
        if all(connector not in (one.connector, one.resource_type) for one in there):
            told = (
                f"{_shown(connector)}{f' at {idp}' if idp else ''}. {_there({one.connector for one in there}, as_of)}"
            )
            raise NotThere("unknown-connector", "No such connector is provisioned", told)


def is_asked_for(idp: Idp, scope: str) -> bool:
    """Does somebody need a scope at an IdP, however it is spelled, or do logins ask for it?"""
    name = canonical_name(idp.profile, scope)
    return name in idp.wants or name in canonical(idp.profile, idp.union)


def look_up_scope(
    scopes: State, as_of: AsOf, scope: str | None, *, idp: str | None, users_with: Callable[[str, str], int]
) -> None:
    """Look whether a scope that is named, however it is spelled, is there at the IdP that is named too, or at any:
    whether somebody needs it, logins ask for it, or somebody holds it. `users_with` counts who does, by IdP and
    canonical name. Raises `NotThere`.
    """
    if scope is None:
        return
    some = [at for name, at in scopes.idps.items() if idp in (None, name)]
    for at in some:
        if is_asked_for(at, scope) or users_with(at.idp, canonical_name(at.profile, scope)):
            return
    told = f"{_shown(scope)}{f' at {idp}' if idp else ''}. {_there({one for at in some for one in at.wants}, as_of)}"
    raise NotThere("unknown-scope", "Nobody needs or holds such a scope", told)


def look_up_in_either(before: State, after: State, as_of: AsOf, idp: str | None) -> None:
    """Look whether an IdP that is named is there at one of two moments, `as_of` the later one. Raises `NotThere`."""
    if idp not in before.idps:
        look_up(after, as_of, idp=idp)


def no_such_user(user: str) -> NotThere:
    """For a user whom no event of the log names, to its end: at a moment before their first one, users hold nothing.
    One who was erased is named, and so is one who never granted anything.
    """
    return NotThere("unknown-user", "There is no such user", f"{_shown(user)}. No event of the log names them.")


def _there(names: Iterable[str], as_of: AsOf) -> str:
    known = sorted(names)
    more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    return f"As of event {as_of.seq} there are: {', '.join(known[:MOST_TOLD]) or 'none'}{more}."


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST])
