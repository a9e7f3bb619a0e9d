"""Rotating the vault's keys under load: in bounded steps that any replica can do, and that can end at any time.

Every change is one compare and set on one row. How far a rotation has come is a row of its own; whoever is killed
leaves at worst rows that are looked at twice.
"""

import os
import time
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import replace

from scopefold.auth.core.leases import holds
from scopefold.auth.core.rotation import SETTLE, Found, Kind, Rotation, at_end, has_settled, looked_at, wants_replacing
from scopefold.auth.core.seal import KEY_BYTES, NONCE_BYTES, CannotOpen, Sealed, key_id, seal, unseal
from scopefold.auth.store.buckets import Row, Taken
from scopefold.auth.store.data_keys import OF_OWNERS, ROOT, TRIES, DataKey, DataKeys, Keks, belongs, rows_of

ROW: Final = "rotation"
STEP_SECONDS: Final = 2.0
STEP_KEYS: Final = 2000


class AnotherUnderWay(RuntimeError):
    """A rotation of the other kind has not finished."""


async def present(keys: DataKeys) -> Rotation | None:
    """The rotation that is under way, or else the last one."""
    found = await keys.bucket.get(ROW, Rotation)
    return found[0] if found else None


async def begin(keys: DataKeys, kind: Kind, now: datetime) -> Rotation:
    """Begin a rotation, or go on with the one of this kind that is under way.

    Raises `AnotherUnderWay`, `UnknownKek`, and `Taken` where others change the same again and again.
    """
    for _ in range(TRIES):
        found = await keys.bucket.get(ROW, Rotation)
        if found is not None and found[0].finished_at is None:
            if found[0].kind == kind:
                return found[0]
            raise AnotherUnderWay(f"a rotation of the other kind, {found[0].kind}, has not finished")
        begun = Rotation(kind, now, to=keys.wanted if kind == "kek" else "")
        try:
            if kind == "kek":
                await _seal_with(keys, keys.wanted)
            await keys.bucket.update(ROW, begun, revision=found[1] if found else 0)
        except Taken:
            continue
        return begun
    raise Taken(ROW)


async def step(keys: DataKeys, now: datetime, *, most: int = STEP_KEYS) -> Rotation | None:
    """Go on with the rotation that is under way, for so many keys at most and for two seconds or so.

    Gives how far it is; None where there never was one. Raises `Taken` where others change the same again and again.
    """
    found = await keys.bucket.get(ROW, Rotation)
    if found is None:
        return None
    before, revision = found
    if before.finished_at is not None or (before.resume_at is not None and holds(before.resume_at, now, SETTLE)):
        return before
    begun = replace(before, began_after=before.began_after or revision)
    after = await _worked(keys, begun, now, most)
    try:
        if after.finished_at is not None and after.kind == "kek":
            await _seal_only_with(keys, after.to)
        await keys.bucket.update(ROW, after, revision=revision)
    except Taken:  # somebody else went on from the same place, and what was done twice is done
        return await present(keys)
    return after


async def _worked(keys: DataKeys, rotation: Rotation, now: datetime, most: int) -> Rotation:
    deadline = time.monotonic() + STEP_SECONDS
    if rotation.looked == 0:
        rotation = replace(rotation, total=await keys.bucket.count(OF_OWNERS) + (rotation.kind == "kek"))
        if rotation.kind == "kek" and (root := await keys.bucket.get(ROOT, Sealed)) is not None:
            rotation = looked_at(rotation, await _sealed_anew(keys, rotation.to, ROOT, *root), 0)
    for _ in range(most):
        if time.monotonic() > deadline:
            break
        if (row := await keys.bucket.next(OF_OWNERS, after=rotation.cursor)) is None:
            return at_end(rotation, now)
        sealed = msgspec.msgpack.decode(row.content, type=Sealed)
        if rotation.kind == "kek":
            found = await _sealed_anew(keys, rotation.to, row.key, sealed, row.revision)
        else:
            found = await _turned(keys, rotation, row, sealed, now)
        rotation = looked_at(rotation, found, row.revision)
    return rotation


async def _seal_with(keys: DataKeys, to: str) -> None:
    """From now on data keys are sealed with this key-encryption key. Raises `Taken`."""
    keks, revision = await keys.keks()
    if keks.sealing != to:
        await keys.put_keks(Keks(to, tuple(dict.fromkeys((to, *keks.in_use)))), revision)


async def _seal_only_with(keys: DataKeys, to: str) -> None:
    """Nothing is sealed with the others any more, but for what this process could not open."""
    keks, revision = await keys.keks()
    left = (to, *keys.missing_of(keks))
    if keks.sealing == to and keks.in_use != left:
        await keys.put_keks(Keks(to, left), revision)


async def _sealed_anew(keys: DataKeys, to: str, name: str, sealed: Sealed, revision: int) -> Found:
    """One data key under another key-encryption key."""
    try:
        return Found.REPLACED if await keys.reseal(name, sealed, revision, to) else Found.DONE_BEFORE
    except CannotOpen:
        return Found.UNREADABLE


async def _turned(keys: DataKeys, rotation: Rotation, row: Row, sealed: Sealed, now: datetime) -> Found:
    """One owner's data key replaced; or the one before it destroyed, once nothing can come that is sealed with it."""
    _, owner = row.key.split(".")
    try:
        key = keys.opened(owner, sealed)
    except CannotOpen:
        return Found.UNREADABLE
    try:
        if key.previous is None:
            if not wants_replacing(rotation, key.since, row.revision):
                return Found.DONE_BEFORE
            key = DataKey(os.urandom(KEY_BYTES), previous=key.key, since=max(now, rotation.began_at))
            await keys.replace(owner, key, sealed, row.revision)
            return Found.REPLACED if await _reseal_rows(keys, owner, key) else Found.UNREADABLE
        if not has_settled(key.since, now):
            return Found.SETTLING
        if not await _reseal_rows(keys, owner, key):
            return Found.UNREADABLE  # the key before stays: what does not open now may be mended
        await keys.replace(owner, DataKey(key.key, since=key.since), sealed, row.revision)
    except Taken:
        return Found.SETTLING  # somebody else changed it meanwhile: look again
    return Found.SETTLED


async def _reseal_rows(keys: DataKeys, owner: str, key: DataKey) -> bool:
    """Seal all rows of an owner with the present data key; False where one does not open. Raises `Taken`."""
    names = [name for pattern in rows_of(owner) for name in await keys.bucket.keys(pattern)]
    return all([await _reseal_row(keys, name, key) for name in names if name != f"key.{owner}"])


async def _reseal_row(keys: DataKeys, name: str, key: DataKey) -> bool:
    place = keys.place(*belongs(name))
    for _ in range(TRIES):
        if (found := await keys.bucket.get(name, Sealed)) is None:
            return True  # it was deleted
        sealed, revision = found
        if sealed.key_id == key_id(key.key):
            return True
        if (opening := key.named(sealed.key_id)) is None:
            return False
        try:
            text = unseal(opening, place, sealed)
        except CannotOpen:
            return False
        try:
            await keys.bucket.update(name, seal(key.key, place, text, os.urandom(NONCE_BYTES)), revision=revision)
            return True
        except Taken:
            continue  # its owner was faster
    raise Taken(name)
