"""The log as the bulk fold reads it: a range of events as arrays, and the few different things that they say."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, assert_never

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from scopefold.consent.concerns import grant_concerned
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

Whole = NDArray[np.int64]
Number = NDArray[np.int32]

NOBODY: Final = -1
NEVER: Final = np.iinfo(np.int64).min
NO_NUMBER: Final = -1


class Said(Struct, frozen=True, eq=False):
    """What many events say alike. `example` is any of them; None where no fold may use them. One object stands for one
    saying throughout a log."""

    example: Recorded | None
    alike: bool = True
    """Whether the columns hold all else that these events say."""


@dataclass(frozen=True)
class Facts:
    """A range of the log in its order. Arrays of one length, an entry for each event.

    `said` is a place in `sayings`; `user` the user's number, or `NOBODY`; `generation` is `NO_NUMBER` where there is
    none; `expires` has three rows (access, idle, absolute), in microseconds since 1970, or `NEVER`. `exactly` gives
    the event at a place of the range, as whoever reads the log message by message gets it.
    """

    seq: Whole
    said: Number
    sayings: tuple[Said, ...]
    user: Number
    generation: Whole
    expires: Whole
    exactly: Callable[[int], Recorded]


def firsts_of(numbers: Number, count: int) -> Whole:
    """Where each number below `count` stands first; -1 where it does not stand."""
    firsts = np.full(count, -1, np.int64)
    firsts[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    return firsts


def distinct(column: Any) -> tuple[Whole, Any]:
    """Each row's place among the column's different values, and those; -1 where there is none."""
    if isinstance(column, pa.ChunkedArray):
        column = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).unify_dictionaries()
        column = column.combine_chunks()
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    return whole_numbers(encoded.indices.cast(pa.int64()).fill_null(-1)), encoded.dictionary


def whole_numbers(column: Any) -> Whole:
    """An Arrow column of whole numbers without nulls, as an array."""
    return np.asarray(
        column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy(), np.int64
    )


Role = Literal["none", "grant", "idp", "failure"]
"""What an event may change: nothing, a user's grant, what an IdP is asked for, or how logins fare there."""


def role_of(said: Said) -> Role:
    """Which fold an event matters to. A token that came matters to grants, and to an IdP only once; what is about a
    user who is not named, to nobody: see `bulk`.
    """
    if said.example is None:
        return "none"
    event = said.example.event
    match event:
        case (
            IdpRegistered()
            | ConnectorProvisioned()
            | ConnectorDeprovisioned()
            | ScopesWithheld()
            | ScopesRestored()
            | ScopesPruned()
            | IdpRemoved()
        ):
            return "idp"
        case AuthorizationFailed():
            return "failure"
        case ConsentDeclined():
            return "grant"
        case TokenStored() | TokenInsufficient() | TokenCleared() | UserErased() | UserLoggedIn() | GrantRevoked():
            return "none" if grant_concerned(said.example) is None else "grant"
    assert_never(event)
