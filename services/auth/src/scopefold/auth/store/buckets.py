"""The key-value buckets on JetStream, and the one place that knows how they show absence."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import msgspec
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import Header, StorageType
from nats.js.kv import KeyValue

from scopefold.auth.store.declared import (
    CLIENTS,
    CONSENTS,
    DYNAMIC,
    FLOWS,
    GRANTS,
    ON_FILE,
    PROOFS,
    SESSIONS,
    VAULT,
    WEBHOOK,
    declare,
)
from scopefold.ledger.incarnation import created
from scopefold.ledger.log import CALL_SECONDS, LogUnavailable

T = TypeVar("T", bound=msgspec.Struct)


def hashed(secret: str) -> str:
    """The key under which something is kept that only the holder of `secret` may find."""
    return hashlib.sha256(secret.encode()).hexdigest()


class Taken(RuntimeError):
    """The entry is there already, or it was changed or taken by somebody else meanwhile."""


_AWAY = (
    nats.errors.Error,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
    asyncio.TimeoutError,
    OSError,
)
_LOST = (nats.js.errors.KeyWrongLastSequenceError, nats.js.errors.BadRequestError)
_NO_MESSAGE: Final = 10037
"""A bucket that is not there is told as 404, too. Taken for an empty one, it would tell the log of lost tokens."""


_UNDER_WAY: Final = 10164
"""A cluster has another write of this entry in hand and not yet stored: nobody can say which revision is the last."""
_PAUSES: Final = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
"""Seconds before each try of a write. So long may another be under way."""
_DELETED: Final = {"KV-Operation": "DEL"}

_KEY: Final = re.compile(r"[-/_=A-Za-z0-9]+(\.[-/_=A-Za-z0-9]+)*")


class _Stored(msgspec.Struct, frozen=True):
    """A message as the server tells it; msgspec reads base64 where bytes are wanted."""

    seq: int
    data: bytes = b""


class _Got(msgspec.Struct, frozen=True):
    message: _Stored | None = None
    error: dict[str, Any] | None = None


class _Put(msgspec.Struct, frozen=True):
    seq: int = 0
    error: dict[str, Any] | None = None


_read_put = msgspec.json.Decoder(_Put).decode
_read_got = msgspec.json.Decoder(_Got).decode


def _stored_in(answer: bytes) -> _Stored | None:
    """The message in an answer. Raises the client library's errors, of which one is that there is none."""
    got = _read_got(answer)
    if got.error is not None:
        raise nats.js.errors.APIError.from_error(got.error)
    return got.message


def is_absence(error: Exception) -> bool:
    """Does the bucket say that it has no such entry?"""
    return isinstance(error, nats.js.errors.APIError) and error.err_code == _NO_MESSAGE


def _check_key(key: str) -> None:
    """A wildcard would find somebody else's entry."""
    if _KEY.fullmatch(key) is None:
        raise nats.js.errors.InvalidKeyError(key)


class _Subjects(msgspec.Struct, frozen=True):
    subjects: dict[str, int] = {}


class _StreamInfo(msgspec.Struct, frozen=True):
    """What a stream tells of the subjects that match: a page of them, and how many there are."""

    state: _Subjects
    total: int = 0


class Row(msgspec.Struct, frozen=True):
    """An entry as it stands in a bucket."""

    key: str
    revision: int
    content: bytes


class Bucket:
    """One bucket, with Structs for values. Raises `LogUnavailable` where the bus does not answer."""

    def __init__(
        self,
        kv: KeyValue,
        place: tuple[JetStreamContext, str],
        remake: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self._kv = kv
        self._place = place
        self._remake = remake  # a bucket in memory is gone with a server that stood alone
        self.on_change: Callable[[str], None] | None = None

    async def get(self, key: str, kind: type[T]) -> tuple[T, int] | None:
        """The entry and its revision, as the leader knows them. A deleted or expired entry shows as an empty one.

        Asked by hand: reading what the server answers costs the client library four times what it costs here.
        """
        _check_key(key)
        return await self._last(key, kind)

    def would_keep(self, key: str) -> bool:
        """Would a read of it ask the bus, and be remembered?"""
        return False

    async def last_below(self, key: str, kind: type[T]) -> T | None:
        """What was written last below a key, one step down; None where that was a deletion."""
        _check_key(key)
        found = await self._last(f"{key}.*", kind)
        return found[0] if found else None

    async def _last(self, key: str, kind: type[T]) -> tuple[T, int] | None:
        js, name = self._place
        try:
            answer = await js._nc.request(
                f"$JS.API.STREAM.MSG.GET.KV_{name}",
                b'{"last_by_subj":"$KV.%b.%b"}' % (name.encode(), key.encode()),
                timeout=CALL_SECONDS,
            )
            found = _stored_in(answer.data)
        except _AWAY as error:
            if is_absence(error) or (self._remake is not None and isinstance(error, nats.js.errors.NotFoundError)):
                return None  # what was in memory is gone with its server
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None
        if found is None or not found.data:
            return None
        return msgspec.msgpack.decode(found.data, type=kind), found.seq

    async def create(self, key: str, value: msgspec.Struct, *, keep_seconds: int | None = None) -> int:
        """Put an entry where there is none; its revision. Raises `Taken`."""
        return await self.update(key, value, revision=0, keep_seconds=keep_seconds)

    async def update(self, key: str, value: msgspec.Struct, *, revision: int, keep_seconds: int | None = None) -> int:
        """Replace the entry of this revision (0: there is none); its new revision. Raises `Taken`.

        The server removes it after `keep_seconds`, if given, and after the bucket's lifetime in any case.
        """
        content = msgspec.msgpack.encode(value)
        try:
            try:
                return await self._write(key, content, revision, keep_seconds)
            except nats.js.errors.NoStreamResponseError:
                if self._remake is None:
                    raise
                await self._remake()
                return await self._write(key, content, revision, keep_seconds)
        except _LOST:
            raise Taken(key) from None
        except _AWAY as error:
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None
        finally:
            self._changed(key)

    def _changed(self, key: str) -> None:
        if self.on_change is not None:
            self.on_change(key)

    async def _write(self, key: str, content: bytes, revision: int, keep_seconds: int | None) -> int:
        """Published by hand: the library renews no lifetime, and looks four times at every key."""
        lifetime: dict[str, str] = {} if keep_seconds is None else {Header.MSG_TTL: str(keep_seconds)}
        try:
            return await self._publish(key, content, revision, lifetime)
        except nats.js.errors.BadRequestError:
            if revision != 0:
                raise
            return await self._kv.create(key, content, msg_ttl=keep_seconds)  # there may be a marker of a deletion

    async def _publish(self, key: str, content: bytes, revision: int, more: Mapping[str, str]) -> int:
        js, name = self._place
        _check_key(key)
        headers: dict[str, str] = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(revision), **more}
        for pause in _PAUSES:
            if pause:
                await asyncio.sleep(pause)
            try:
                answer = await js._nc.request(f"$KV.{name}.{key}", content, timeout=CALL_SECONDS, headers=headers)
            except nats.errors.NoRespondersError:
                raise nats.js.errors.NoStreamResponseError from None
            put = _read_put(answer.data)
            if put.error is None:
                return put.seq
            if put.error.get("err_code") != _UNDER_WAY:
                raise nats.js.errors.APIError.from_error(put.error)
        raise nats.errors.TimeoutError

    async def put(self, key: str, value: msgspec.Struct) -> None:
        """Put an entry, whatever is there now: for what any writer would write alike."""
        try:
            await self._kv.put(key, msgspec.msgpack.encode(value))
        except _AWAY as error:
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None
        finally:
            self._changed(key)

    async def take(self, key: str, revision: int) -> None:
        """Delete the entry of this revision. Of all who try, one succeeds; the others get `Taken`."""
        try:
            await self._publish(key, b"", revision, _DELETED)
        except _LOST:
            raise Taken(key) from None
        except _AWAY as error:
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None
        finally:
            self._changed(key)

    async def next(self, pattern: str, *, after: int) -> Row | None:
        """The first entry after a revision whose key matches, as the leader knows it; None where there is none.

        What is written while one goes through a bucket like this comes last: nothing is passed by.
        """
        js, name = self._place
        while True:
            try:
                found = await js.get_msg(f"KV_{name}", seq=after + 1, subject=f"$KV.{name}.{pattern}", next=True)
            except _AWAY as error:
                if is_absence(error):
                    return None
                raise LogUnavailable(f"the bus did not answer: {error!r}") from None
            assert found.seq is not None and found.subject is not None
            if found.data:
                return Row(found.subject.removeprefix(f"$KV.{name}."), found.seq, found.data)
            after = found.seq  # the marker of one that was deleted

    async def count(self, pattern: str) -> int:
        """How many keys match, those of entries that were deleted lately among them."""
        return (await self._subjects(pattern, offset=2**31)).total  # beyond all, so that none is told

    async def keys(self, pattern: str = ">") -> list[str]:
        """All keys that match, sorted, as the leader knows them: the server looks in its index, so others cost nothing.

        Those of entries that were deleted lately are among them: who reads them finds nothing there. No watcher is
        used: it can say that it has told all before it told anything, and leaves a consumer behind for minutes.
        """
        _, name = self._place
        found: dict[str, int] = {}
        while (page := await self._subjects(pattern, offset=len(found))).state.subjects:
            found |= page.state.subjects
            if len(found) >= page.total:
                break
        return sorted(subject.removeprefix(f"$KV.{name}.") for subject in found)

    async def _subjects(self, pattern: str, *, offset: int) -> _StreamInfo:
        js, name = self._place
        asked = {"subjects_filter": f"$KV.{name}.{pattern}", "offset": offset}
        try:
            answer = await js._nc.request(
                f"$JS.API.STREAM.INFO.KV_{name}", msgspec.json.encode(asked), timeout=CALL_SECONDS
            )
            return msgspec.json.decode(answer.data, type=_StreamInfo)
        except (msgspec.ValidationError, *_AWAY) as error:
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None


async def made_at(js: JetStreamContext) -> dict[str, datetime | None]:
    """When each bucket on file was made; None: it is not there. Raises `LogUnavailable`, also while servers that lost
    their majority do not know.
    """
    found: dict[str, datetime | None] = {}
    for name in ON_FILE:
        try:
            found[name] = created(await js.stream_info(f"KV_{name}"))
        except nats.js.errors.NotFoundError:
            found[name] = None
        except _AWAY as error:
            raise LogUnavailable(f"the bus did not answer: {error!r}") from None
    return found


class Buckets:
    """All buckets of one connection."""

    def __init__(
        self,
        *,
        vault: Bucket,
        sessions: Bucket,
        clients: Bucket,
        dynamic: Bucket,
        consents: Bucket,
        grants: Bucket,
        flows: Bucket,
        proofs: Bucket,
        webhook: Bucket,
    ) -> None:
        self.vault = vault
        self.sessions = sessions
        self.clients = clients
        self.dynamic = dynamic
        self.consents = consents
        self.flows = flows
        self.proofs = proofs
        self.grants = grants
        self.webhook = webhook


async def connect(js: JetStreamContext) -> Buckets:
    """The buckets, which must have been declared. Raises `LogUnavailable` where they are not there.

    What is in memory is declared anew where it is missing: nobody would notice a restart of the bus in time.
    """

    async def remake() -> None:
        await declare(js, only=StorageType.MEMORY)

    try:
        names = {
            "vault": VAULT,
            "sessions": SESSIONS,
            "clients": CLIENTS,
            "dynamic": DYNAMIC,
            "consents": CONSENTS,
            "grants": GRANTS,
            "webhook": WEBHOOK,
        }
        found = {name: Bucket(await js.key_value(bucket), (js, bucket)) for name, bucket in names.items()}
        await remake()
        flows, proofs = [Bucket(await js.key_value(name), (js, name), remake) for name in (FLOWS, PROOFS)]
        return Buckets(**found, flows=flows, proofs=proofs)
    except (nats.js.errors.Error, *_AWAY) as error:
        raise LogUnavailable(f"the buckets are not there yet; run: scopefold bus init ({error})") from None
