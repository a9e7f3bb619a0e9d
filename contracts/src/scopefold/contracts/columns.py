"""The log as columns: one row for each message, and back to exactly what `examine` gave for it.

What a fold asks of nearly every event has a column of its own; all else that an event says stands in `detail`, as
JSON, of which a log has few different ones. So a new type of event needs no new column. A member that its
column cannot hold exactly (a time in another zone than UTC, a generation beyond 32 bits) stands in `detail` too, and
what stands there wins.
"""

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Struct

from scopefold.contracts.codec import UPCASTS, Undecodable, decode
from scopefold.contracts.events import Event, tag_of
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.contracts.subjects import OF_IDPS

SCHEMA_VERSION: Final = 1
"""Raised whenever a reader of today would misread what is written: a column that is new, or means something else."""

QUARANTINED: Final = "quarantined"
"""The type of a message that is no event. `detail` has its subject and the reason."""

ELSEWHERE: Final = "elsewhere"
"""The type of another tenant's event on the same bus. `detail` has all of it; no fold of this tenant may use it."""

COLUMNS: Final[Mapping[str, str]] = {
    "seq": "u64",
    "at": "timestamp(us, UTC)",
    "event_id": "str",
    "type": "str",
    "idp": "str",
    "user": "str?",
    "publisher": "str",
    "generation": "u32?",
    "fingerprint": "str?",
    "predecessor": "str?",
    "access_after_us": "i64?",
    "idle_after_us": "i64?",
    "absolute_after_us": "i64?",
    "ref": "str?",
    "detail": "str",
}
"""Every column and what it holds; `?` where it may be null. `…_after_us` count from `at`, in microseconds."""

EXPLAINING: Final = ("event_id", "fingerprint", "predecessor", "ref")
"""The columns that only name and explain. No fold's answer depends on them, but for the event ids it repeats."""

CLOCKS: Final[Mapping[str, str]] = {
    "access_expires_at": "access_after_us",
    "idle_expires_at": "idle_after_us",
    "absolute_expires_at": "absolute_after_us",
}
"""Which column holds which of an event's times."""

REFS: Final[Mapping[str, str]] = {
    "authorization-failed": "attempt",
    "consent-declined": "attempt",
    "grant-revoked": "grant",
}
"""By the name of an event: which member of it stands in the column `ref`."""

MAX_GENERATION: Final = 2**32 - 1
_OWN_COLUMN: Final = frozenset({"idp", "user", "generation", "fingerprint", "predecessor", *CLOCKS})
_KEPT_DETAILS: Final = 1 << 14
_MICROSECOND: Final = timedelta(microseconds=1)
_json = msgspec.json.Encoder()  # in the order in which it was said, which is an IdP's for its parameters

_object = msgspec.json.Decoder(dict[str, Any])


class Row(NamedTuple):
    """One message of the log, as `COLUMNS` has it. `idp` and `publisher` are empty where the message is no event."""

    seq: int
    at: datetime
    event_id: str
    type: str
    idp: str
    user: str | None
    publisher: str
    generation: int | None
    fingerprint: str | None
    predecessor: str | None
    access_after_us: int | None
    idle_after_us: int | None
    absolute_after_us: int | None
    ref: str | None
    detail: str


class BadRow(ValueError):
    """The row is none that this version can read; the message says why, and at which sequence."""


class _Kind:
    """How events of one type are taken apart, quickly: a log has millions."""

    def __init__(self, kind: type[Struct]) -> None:
        names = kind.__struct_fields__
        self.tag = sys.intern(tag_of(kind))
        ref = REFS.get(self.tag.partition(".")[0], "")
        self.rest = tuple(name for name in names if name not in _OWN_COLUMN and name != ref)
        self.said = _tuple_of(self.rest)
        self.user, self.generation, self.fingerprint, self.predecessor, self.ref = (
            attrgetter(name) if name in names else _none
            for name in ("user", "generation", "fingerprint", "predecessor", ref)
        )
        self.clocks = _tuple_of(tuple(CLOCKS)) if any(name in CLOCKS for name in names) else None
        self.repeats = kind not in OF_IDPS
        """What is said of users repeats; what is said of IdPs hardly does, and not all of it can be hashed."""


def _none(_: object) -> Any:
    return None


def _tuple_of(names: tuple[str, ...]) -> Callable[[Event], tuple[Any, ...]]:
    """What these members of an event say. `attrgetter` gives a tuple only of two and more."""
    if len(names) > 1:
        return attrgetter(*names)
    if not names:
        return lambda _: ()
    one = attrgetter(names[0])
    return lambda event: (one(event),)


def _after(at: datetime, expires: datetime | None) -> int | None:
    return None if expires is None else (expires - at) // _MICROSECOND


_KINDS: Final[Mapping[type, _Kind]] = {kind: _Kind(kind) for kind in get_args(Event)}
_BY_TAG: Final[Mapping[str, type[Event]]] = {tag_of(kind): kind for kind in get_args(Event)}


def known_types() -> frozenset[str]:
    """Every value of the column `type` that this version can read."""
    return frozenset({*_BY_TAG, *UPCASTS, QUARANTINED, ELSEWHERE})


def row_of(one: Recorded | Quarantined, tenant: str) -> Row:
    """The message as a row of this tenant's log."""
    if isinstance(one, Quarantined):
        detail = _json.encode({"subject": one.subject, "reason": one.reason}).decode()
        return _bare(one.seq, one.at, QUARANTINED, detail)
    if one.tenant != tenant:
        whole = {"tenant": one.tenant, "event_id": one.event_id, "publisher": one.publisher, "event": one.event}
        return _bare(one.seq, one.at, ELSEWHERE, _json.encode(whole).decode())
    event, at = one.event, one.at
    kind = _KINDS[type(event)]
    said = kind.said(event)
    detail = _detail(kind.rest, said) if kind.repeats else _written(kind.rest, said)
    beyond: dict[str, object] = {}
    generation = kind.generation(event)
    if generation is not None and generation > MAX_GENERATION:
        beyond["generation"], generation = generation, None
    access = idle = absolute = None
    if kind.clocks is not None:
        clocks = kind.clocks(event)
        access, idle, absolute = [_after(at, expires) for expires in clocks]
        if not all(expires is None or expires.tzinfo is UTC for expires in clocks):
            beyond |= {name: when for name, when in zip(CLOCKS, clocks, strict=True) if when is not None}
    if beyond:
        detail = _written((*kind.rest, *beyond), (*said, *beyond.values()))
    return Row(
        one.seq,
        at,
        one.event_id,
        kind.tag,
        event.idp,
        kind.user(event),
        one.publisher,
        generation,
        kind.fingerprint(event),
        kind.predecessor(event),
        access,
        idle,
        absolute,
        kind.ref(event),
        detail,
    )


def _bare(seq: int, at: datetime, kind: str, detail: str) -> Row:
    return Row(seq, at, "", kind, "", None, "", None, None, None, None, None, None, None, detail)


def message_in(row: Row, tenant: str) -> Recorded | Quarantined:
    """What `examine` gave for the message of a row. Raises `BadRow`."""
    try:
        if row.type == QUARANTINED:
            told = msgspec.json.decode(row.detail, type=dict[str, str])
            return Quarantined(row.seq, row.at, told["subject"], told["reason"])
        if row.type == ELSEWHERE:
            other = msgspec.json.decode(row.detail, type=_Elsewhere)
            return Recorded(row.seq, row.at, other.tenant, other.event_id, other.publisher, other.event)
        return Recorded(row.seq, row.at, tenant, row.event_id, row.publisher, event_in(row))
    except (Undecodable, LookupError, TypeError, ValueError, OverflowError) as error:
        raise BadRow(f"sequence {row.seq} is no {row.type} that this version can read: {error}") from None


class _Elsewhere(Struct, frozen=True):
    tenant: str
    event_id: str
    publisher: str
    event: Event


def event_in(row: Row) -> Event:
    """The event of a row that is one. Raises what looking into bad data raises: see `message_in`."""
    told = _told(row)
    if (kind := _BY_TAG.get(row.type)) is None:
        return decode(_json.encode({"type": row.type, **told, **_object.decode(row.detail)}))
    return kind(**{**told, **_members(kind, row.detail)})


def _told(row: Row) -> dict[str, Any]:
    """What the columns, other than `detail`, say of an event, by its members' names."""
    told: dict[str, Any] = {"idp": row.idp}
    for name in ("user", "generation", "fingerprint", "predecessor"):
        if (value := getattr(row, name)) is not None:
            told[name] = value
    for name, column in CLOCKS.items():
        if (after := getattr(row, column)) is not None:
            told[name] = row.at + timedelta(microseconds=after)
    if row.ref is not None:
        told[REFS[row.type.partition(".")[0]]] = row.ref
    return told


def _written(names: tuple[str, ...], said: tuple[object, ...]) -> str:
    members = {name: value for name, value in zip(names, said, strict=True) if value is not UNSET}
    return _json.encode(members).decode()


_detail = lru_cache(maxsize=_KEPT_DETAILS)(_written)


@lru_cache(maxsize=_KEPT_DETAILS)
def _members(kind: type[Event], detail: str) -> Mapping[str, Any]:
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: msgspec.convert(value, types[name]) for name, value in _object.decode(detail).items()}
