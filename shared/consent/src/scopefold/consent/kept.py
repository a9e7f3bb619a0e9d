"""The bulk fold's columns as bytes, so that another time the fold goes on from there.

They are worth nothing but time: whoever cannot use them folds from the start.
"""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from io import BytesIO
from operator import itemgetter
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from scopefold.consent.bulk import ABSENT, APART, Bulk
from scopefold.consent.facts import NEVER, Number, Whole
from scopefold.consent.idp_scopes import Idp, State
from scopefold.consent.reconsent import UserGrant
from scopefold.consent.shapes import width
from scopefold.contracts.recorded import Cause

_PACKAGES: Final = ("scopefold.contracts", "scopefold.scopes", "scopefold.consent")
_SHA256_BYTES: Final = 32
_HEAD: Final = b"scopefold"
_CLOCKS: Final = ("access", "idle", "absolute")
_json = msgspec.json.Encoder(order="deterministic")


class Unusable(ValueError):
    """These bytes are damaged, of another log or moment, or of a version that folds otherwise."""


class _Head(Struct, frozen=True, kw_only=True):
    """What columns do not hold. `shapes` are by number, from the first that is one."""

    meaning: str
    bound_to: str
    seq: int
    slots: int
    idps: dict[str, Idp]
    removed: dict[str, Cause]
    names: tuple[str, ...]
    shapes: tuple[UserGrant, ...]
    apart: tuple[tuple[int, UserGrant], ...]


@cache
def meaning() -> str:
    """Names how this version folds: another program, or other data about providers, has another one."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for name, content in sorted(_contents(files(package), package)):
            digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def _contents(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    found = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _contents(entry, f"{name}/{entry.name}")
        elif entry.name.endswith((".py", ".toml")):
            found.append((f"{name}/{entry.name}", entry.read_bytes()))
    return found


def kept(bulk: Bulk, bound_to: str) -> bytes:
    """All that `bulk` has folded. `bound_to` names what that was, such as a sealed segment by its hash."""
    count = bulk.count
    held = bulk.shape[:count]
    used = np.zeros(len(bulk.shapes), np.bool_)
    used[held] = used[[ABSENT, APART]] = True
    numbers = (np.cumsum(used) - 1).astype(np.int32)
    shapes = tuple(shape for shape, wanted in zip(bulk.shapes, used.tolist(), strict=True) if wanted and shape)
    names = tuple(bulk.places)
    head = _Head(
        meaning=meaning(),
        bound_to=bound_to,
        seq=bulk.seq,
        slots=len(bulk.slots),
        idps=bulk.scopes.idps,
        removed=bulk.scopes.removed,
        names=names,
        shapes=shapes,
        apart=tuple(sorted(bulk.apart.items(), key=itemgetter(0))),
    )
    widths = np.array([width(shape) for shape in bulk.shapes])[held]
    table = pa.table(
        {
            "idp": _idps(bulk, names),
            "user": bulk.user[:count],
            "shape": numbers[held],
            "generation": bulk.generation[:count],
            **_clocks(bulk.expires[:, :count]),
            **{f"cause_{n}": np.where(widths > n, slot[:count], 0) for n, slot in enumerate(bulk.slots)},
        }
    )
    file = BytesIO()
    pq.write_table(table.replace_schema_metadata({_HEAD: _json.encode(head)}), file, compression="zstd")
    content = file.getvalue()
    return hashlib.sha256(content).digest() + content


def restored(content: bytes, bound_to: str) -> Bulk:
    """The fold again, as it was kept. Raises `Unusable`."""
    checksum, content = content[:_SHA256_BYTES], content[_SHA256_BYTES:]
    if hashlib.sha256(content).hexdigest() != checksum.hex():
        raise Unusable("what was kept of the fold is damaged")
    table = pq.read_table(pa.BufferReader(content))
    try:
        head = msgspec.json.decode(table.schema.metadata[_HEAD], type=_Head)
    except msgspec.MsgspecError as error:
        raise Unusable(f"what was kept of the fold cannot be read: {error}") from None
    if (head.meaning, head.bound_to) != (meaning(), bound_to):
        raise Unusable("what was kept of the fold is of another log, moment or version")
    bulk = Bulk(slots=head.slots)
    bulk.scopes, bulk.seq, bulk.apart = State(head.idps, head.removed), head.seq, dict(head.apart)
    bulk.take(
        names=head.names,
        idp=_column(table, "idp").astype(np.int32),
        user=_column(table, "user").astype(np.int32),
        shapes=head.shapes,
        shape=_column(table, "shape").astype(np.int32),
        generation=_column(table, "generation"),
        expires=_expires(table),
        slots=np.vstack([_column(table, f"cause_{n}") for n in range(head.slots)]),
    )
    return bulk


def _idps(bulk: Bulk, names: tuple[str, ...]) -> Number:
    idps: Number = np.zeros(bulk.count, np.int32)
    for number, name in enumerate(names):
        places = bulk.places[name]
        idps[places[places >= 0]] = number
    return idps


def _clocks(expires: Whole) -> dict[str, Any]:
    """Each time after the one before it: most tokens live equally long, so the differences are few."""
    found, before = {}, np.zeros(expires.shape[1], np.int64)
    for name, times in zip(_CLOCKS, expires, strict=True):
        known = times != NEVER
        found[name] = pa.array(np.where(known, times - before, 0), mask=~known)
        before = np.where(known, times, before)
    return found


def _expires(table: Any) -> Whole:
    expires: Whole = np.full((len(_CLOCKS), table.num_rows), NEVER, np.int64)
    before = np.zeros(table.num_rows, np.int64)
    for times, name in zip(expires, _CLOCKS, strict=True):
        known = np.asarray(table[name].is_valid(), np.bool_)
        before = np.where(known, before + _column(table, name), before)
        times[known] = before[known]
    return expires


def _column(table: Any, name: str) -> Whole:
    return np.array(table[name].fill_null(0).to_numpy(), np.int64)  # a copy: Arrow lends what may not be written
