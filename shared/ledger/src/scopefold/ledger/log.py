"""The log as it stands on a server: its declaration, its incarnation and its end."""

import asyncio
from datetime import datetime
from typing import Final

import nats.errors
import nats.js.errors
from msgspec import Struct
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig

from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES
from scopefold.contracts.subjects import LEDGER
from scopefold.ledger.headers import read_headers_fast
from scopefold.ledger.incarnation import created

STREAM: Final = "LEDGER"
CALL_SECONDS: Final = 5.0
DUPLICATE_WINDOW_SECONDS: Final = 24 * 3600
DEFAULT_MAX_BYTES: Final = 64 * 1024**3


class LogUnavailable(ConnectionError):
    """The bus did not answer in time. Whether an append took effect is not known; try again with the same id."""


class LogNotDeclared(LookupError):
    """The bus answers, but the log has not been declared on it yet."""


class LogMisdeclared(RuntimeError):
    """The log exists with settings under which events could be lost. An operator must decide."""


class Status(Struct, frozen=True):
    """Which log this is, and how far it goes. Another `created` is another log, whatever its name."""

    created: datetime
    first_seq: int
    last_seq: int
    bytes: int
    max_bytes: int


class Log:
    """A handle on the log through one connection. Holds no state of its own."""

    def __init__(self, nc: Client) -> None:
        self.nc: Client = nc
        read_headers_fast(nc)
        self.js: JetStreamContext = nc.jetstream(timeout=CALL_SECONDS)


def _declaration(replicas: int, max_bytes: int) -> StreamConfig:
    return StreamConfig(
        name=STREAM,
        description="What connectors need and what users have granted. Append only, for ever.",
        subjects=[f"{LEDGER}.>"],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        num_replicas=replicas,
        discard=DiscardPolicy.NEW,
        max_bytes=max_bytes,
        max_msg_size=MAX_PAYLOAD_BYTES + 4096,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
        allow_atomic=True,
    )


async def declare(log: Log, *, replicas: int = 1, max_bytes: int = DEFAULT_MAX_BYTES) -> bool:
    """Create the log where there is none; True if it was created. The one place that declares it.

    An existing log is never changed: raises `LogMisdeclared` where its settings could lose events, and
    `LogUnavailable` where the bus does not answer.
    """
    try:
        existing = (await log.js.stream_info(STREAM)).config
    except nats.js.errors.NotFoundError:
        try:
            await log.js.add_stream(_declaration(replicas, max_bytes))
        except nats.js.errors.BadRequestError:
            return await declare(log, replicas=replicas, max_bytes=max_bytes)  # another process was first
        return True
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error}") from None
    wrong = [
        name
        for name, wanted in (
            ("storage", StorageType.FILE),
            ("discard", DiscardPolicy.NEW),
            ("deny_delete", True),
            ("deny_purge", True),
            ("allow_direct", True),
            ("allow_atomic", True),
        )
        if getattr(existing, name) != wanted
    ]
    wrong += [name for name in ("max_msgs", "max_age") if (getattr(existing, name) or -1) > 0]
    if wrong:
        raise LogMisdeclared(f"stream {STREAM} exists with unsafe settings: {', '.join(wrong)}; it was left as it is")
    return False


_AWAY = (
    nats.errors.Error,
    nats.js.errors.ServiceUnavailableError,
    nats.js.errors.NoStreamResponseError,
    asyncio.TimeoutError,
    OSError,
)


async def status(log: Log) -> Status:
    """The log's incarnation and end, as its leader knows them. Raises `LogUnavailable`, `LogNotDeclared`."""
    try:
        info = await log.js.stream_info(STREAM)
    except nats.js.errors.NotFoundError:
        raise LogNotDeclared(f"there is no stream {STREAM} yet; run: scopefold bus init") from None
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error}") from None
    return Status(
        created=created(info),
        first_seq=info.state.first_seq,
        last_seq=info.state.last_seq,
        bytes=info.state.bytes,
        max_bytes=info.config.max_bytes or 0,
    )


async def last_seq_on(log: Log, subject: str) -> int:
    """The sequence of the last message on subjects that match, 0 for none. Raises as `status`.

    The leader is asked, not a replica: a writer compares and sets against this.
    """
    try:
        found = await log.js.get_last_msg(STREAM, subject)
    except nats.js.errors.NotFoundError:
        return 0
    except _AWAY as error:
        raise LogUnavailable(f"the bus did not answer: {error}") from None
    return found.seq or 0
