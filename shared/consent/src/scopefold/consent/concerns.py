"""Whose grant does an event concern: one user's at an IdP, everybody's there, or nobody's?"""

from collections.abc import Iterable
from typing import assert_never

from scopefold.contracts.events import (
    AuthorizationFailed,
    ConnectorDeprovisioned,
    ConnectorProvisioned,
    ConsentDeclined,
    GrantRevoked,
    IdpRegistered,
    IdpRemoved,
    ScopesPruned,
    ScopesRestored,
    ScopesWithheld,
    TokenCleared,
    TokenInsufficient,
    TokenStored,
    UserErased,
    UserLoggedIn,
)
from scopefold.contracts.recorded import Recorded


def grant_concerned(recorded: Recorded) -> tuple[str, str] | None:
    """The (IdP, user) whose grant alone an event may change, if any."""
    event = recorded.event
    match event:
        case TokenStored() | TokenInsufficient() | TokenCleared() | UserErased():
            return event.idp, event.user
        case ConsentDeclined():
            return None if event.user is None else (event.idp, event.user)
        case (
            IdpRegistered()
            | ConnectorProvisioned()
            | ConnectorDeprovisioned()
            | ScopesWithheld()
            | ScopesRestored()
            | ScopesPruned()
            | IdpRemoved()
            | UserLoggedIn()
            | AuthorizationFailed()
            | GrantRevoked()
        ):
            return None
    assert_never(event)


def idp_emptied(recorded: Recorded) -> str | None:
    """The IdP of which an event may change every grant, if any."""
    return recorded.event.idp if isinstance(recorded.event, IdpRemoved) else None


def grants_concerned(recorded: Recorded, known: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The (IdP, user) of every grant that an event may change: of those that are known, and one that it may begin."""
    if (key := grant_concerned(recorded)) is not None:
        return [key]
    emptied = idp_emptied(recorded)
    return [] if emptied is None else [key for key in known if key[0] == emptied]
