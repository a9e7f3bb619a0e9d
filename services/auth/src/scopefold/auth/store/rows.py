"""What the rows of the projection hold."""

import msgspec
from msgspec import Struct

from scopefold.consent.deadlines import Deadlines
from scopefold.consent.reconsent import Cleared, Judgement, Report, Row, UserGrant
from scopefold.consent.ungiven import Ungiven
from scopefold.contracts.recorded import Cause
from scopefold.scopes.coverage import Grant


class Held(Struct, frozen=True, array_like=True):
    """What a row of `grants` says of one user, beside the grant set."""

    generation: int
    known_by: str
    stored: Cause
    reports: tuple[Report, ...]
    ungiven: tuple[Ungiven, ...]
    cleared: Cleared | None
    deadlines: Deadlines


class GrantSet(Struct):
    """A canonical grant that at least one user holds at an IdP, and what it is worth."""

    id: int
    idp: str
    key: str
    grant: Grant
    users: int
    judgement: Judgement


class Page(Struct, frozen=True):
    """A part of the worklist, and where the next part begins (None: there is none)."""

    rows: tuple[Row, ...]
    next: tuple[str, str, str] | None


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Held).decode


def packed(grant: UserGrant) -> bytes:
    """A user's grant, without the grant set."""
    return _pack(Held(*(getattr(grant, name) for name in Held.__struct_fields__)))


def user_grant(idp: str, user: str, grant: Grant, held: bytes) -> UserGrant:
    """A user's grant, with the grant set's."""
    kept = _unpack(held)
    return UserGrant(user, idp, grant, **{name: getattr(kept, name) for name in Held.__struct_fields__})


def idle_end(grant: UserGrant) -> float | None:
    """When a token dies if it is not used before, in seconds since 1970."""
    at = grant.deadlines.idle
    return at.timestamp() if at is not None and grant.cleared is None else None
