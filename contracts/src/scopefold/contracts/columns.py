"""The log as columns: one row for each message, and back to exactly what `examine` gave for it.

What a fold asks of nearly every event has a column of its own; all else that an event says stands in `detail`, as
JSON, of which a log has few different ones. So a new type of event needs no new column. A member that its
column cannot hold exactly (a time in another zone than UTC, a generation beyond 32 bits) stands in `detail` too, and
what stands there wins.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, get_args

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import astuple

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
_OWN_COLUMNS: Final = ("idp", "user", "generation", "fingerprint", "predecessor", *CLOCKS)
_KEPT_DETAILS: Final = 1 << 14
_json = msgspec.json.Encoder()  # in the order in which it was said, which is an IdP's for its parameters
_packed = msgspec.msgpack.Encoder().encode
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
    """How events of one type are taken apart, quickly: a log has millions, so what can be done in C is."""

    def __init__(self, kind: type[Struct]) -> None:
        names = kind.__struct_fields__
        self.tag = sys.intern(tag_of(kind))
        ref = REFS.get(self.tag.partition(".")[0], "")
        self.rest = tuple(name for name in names if name not in _OWN_COLUMNS and name != ref)
        places = {name: place for place, name in enumerate(names)}
        self.said = _picked([places[name] for name in self.rest])
        self.own = _picked([places.get(name, len(names)) for name in (*_OWN_COLUMNS, ref)])
        """The members with a column of their own, then that of `ref`; for one that the type has not, what stands
        behind the last."""
        self.measured = any(name in names for name in ("generation", *CLOCKS))
        """May it say what the columns cannot hold exactly?"""
        self._repeats = kind not in OF_IDPS and UNSET not in kind.__struct_defaults__
        """What is said of users repeats; what is said of IdPs hardly does. A member that is not said has no bytes."""
        self._details: dict[bytes, str] = {}

    def detail(self, said: tuple[Any, ...]) -> str:
        """What is `said`, as JSON: the same text for the same, found again by bytes, which are quicker to make and to
        look up than the many scopes of an event, each a new text, are to look up."""
        if not self._repeats:
            return _written(self.rest, said)
        key = _packed(said)
        if (detail := self._details.get(key)) is None:
            if len(self._details) >= _KEPT_DETAILS:
                self._details.clear()
            detail = self._details[key] = _written(self.rest, said)
        return detail


def _picked(places: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """What stands at these places. `itemgetter` gives a tuple only of two and more."""
    if len(places) > 1:
        return itemgetter(*places)
    if not places:
        return lambda _: ()
    (one,) = places
    return lambda members: (members[one],)


def microseconds(at: datetime, until: datetime) -> int:
    """From one time to another: three times as fast as a division by a microsecond."""
    after = until - at
    return (after.days * 86_400 + after.seconds) * 1_000_000 + after.microseconds


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
    kind = _KINDS[type(one.event)]
    members = (*astuple(one.event), None)
    said = kind.said(members)
    detail = kind.detail(said)
    idp, user, generation, fingerprint, predecessor, access, idle, absolute, ref = kind.own(members)
    if kind.measured and (beyond := _beyond(generation, access, idle, absolute)):
        detail = _written((*kind.rest, *beyond), (*said, *beyond.values()))
        generation = None if "generation" in beyond else generation
    told = (
        one.seq,
        one.at,
        one.event_id,
        kind.tag,
        idp,
        user,
        one.publisher,
        generation,
        fingerprint,
        predecessor,
        None if access is None else microseconds(one.at, access),
        None if idle is None else microseconds(one.at, idle),
        None if absolute is None else microseconds(one.at, absolute),
        ref,
        detail,
    )
    return Row._make(told)


def _beyond(
    generation: int | None, access: datetime | None, idle: datetime | None, absolute: datetime | None
) -> dict[str, object]:
    """What the columns cannot hold exactly. Asked of every token, so without a loop."""
    beyond: dict[str, object] = {}
    if generation is not None and generation > MAX_GENERATION:
        beyond["generation"] = generation
    if not (
        (access is None or access.tzinfo is UTC)
        and (idle is None or idle.tzinfo is UTC)
        and (absolute is None or absolute.tzinfo is UTC)
    ):
        clocks = zip(CLOCKS, (access, idle, absolute), strict=True)
        beyond |= {name: expires for name, expires in clocks if expires is not None}
    return beyond


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


@lru_cache(maxsize=_KEPT_DETAILS)
def _members(kind: type[Event], detail: str) -> Mapping[str, Any]:
    types = {field.name: field.type for field in msgspec.structs.fields(kind)}
    return {name: msgspec.convert(value, types[name]) for name, value in _object.decode(detail).items()}
