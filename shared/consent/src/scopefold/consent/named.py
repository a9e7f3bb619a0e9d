"""Is there what a question names? What is mistyped must not read as if nobody had to consent."""

from collections.abc import Iterable
from datetime import UTC
from typing import Final, Literal

from scopefold.consent.idp_scopes import State
from scopefold.contracts.recorded import AsOf

MOST_TOLD: Final = 20
LONGEST: Final = 80


class NotThere(LookupError):
    """A question names an IdP, or a connector, that is not there at the moment that is asked about."""

    def __init__(self, kind: Literal["unknown-idp", "unknown-connector"], title: str, detail: str) -> None:
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


def look_up_in_either(before: State, after: State, as_of: AsOf, idp: str | None) -> None:
    """Look whether an IdP that is named is there at one of two moments, `as_of` the later one. Raises `NotThere`."""
    if idp not in before.idps:
        look_up(after, as_of, idp=idp)


def _there(names: Iterable[str], as_of: AsOf) -> str:
    known = sorted(names)
    more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    return f"As of event {as_of.seq} there are: {', '.join(known[:MOST_TOLD]) or 'none'}{more}."


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST])
