"""A long log with many users, made as columns: what took years to come about is there in a minute.

Everybody logs in once; then tokens are refreshed, most of all, and some log in again, step up, are reported, cleared.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray
from tests.support.sealed import with_segment

from bench.filled_log import GRANT_SETS, NOW, idp_events, token_stored
from scopefold.contracts.columns import COLUMNS, row_of
from scopefold.contracts.events import AuthorizationFailed, Event, TokenCleared, TokenInsufficient, UserLoggedIn
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.words import resource_type_of
from scopefold.ledger.segment import MAX_ROWS
from scopefold.ledger.segment_file import FACTS, IDS, LOGICAL, ROW_GROUP, SegmentWriter, Users
from scopefold.ledger.segment_store import Folder
from scopefold.ledger.segments import Segments

SHARES: Final = {
    "refresh": 0.70,
    "logged-in": 0.15,
    "login": 0.11,
    "step-up": 0.03,
    "report": 0.004,
    "clear": 0.003,
    "failed": 0.003,
}
HOUR_US: Final = 3_600_000_000
ID_LENGTH: Final = 22
_ALPHABET: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", np.uint8)


def random_ids(random: np.random.Generator, count: int) -> Any:
    """As many random texts of 22 characters, as an Arrow array."""
    data = _ALPHABET[random.integers(0, 64, count * ID_LENGTH, dtype=np.uint8)]
    ends = np.arange(count + 1, dtype=np.int32) * ID_LENGTH
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(data))


def tables(events: int, users: int, at_once: int) -> Iterator[Any]:
    """The log as tables of at most so many rows each. Users are numbers, in the order in which they are met."""
    random = np.random.default_rng(1)
    generation = np.zeros(users, np.int64)
    begin = [row_of(recorded, "default")._asdict() for recorded in _idps()]
    yield pa.Table.from_pylist(begin, LOGICAL.set(LOGICAL.get_field_index("user"), pa.field("user", pa.uint32())))
    done = len(begin)
    met = 0
    while done < events:
        count = min(at_once, events - done)
        new = min(users - met, -(-count * users // max(1, events - len(begin))))
        yield _segment(random, generation, done + 1, count, new=range(met, met + new))
        done, met = done + count, met + new


async def sealed(folder: Path, events: int, users: int, at_once: int = MAX_ROWS) -> Segments:
    """The log as a chain of segments in a folder. Its first events are a segment of their own."""
    random = np.random.default_rng(2)
    segments, met = Segments(Folder(folder), ()), 0
    for table in tables(events, users, at_once):
        top = int(pc.max(table["user"]).as_py() or -1) + 1
        ids = Users(random_ids(random, max(0, top - met)).to_pylist())
        writer = _ColumnWriter(ids)
        writer.add_columns(table)
        met = max(met, top)
        ends = (table["at"][0].as_py(), table["at"][-1].as_py())
        types = tuple(sorted(pc.unique(table["type"]).to_pylist()))
        segments = await with_segment(
            segments, writer.close(), rows=table.num_rows, ends=ends, users=len(ids.ids), types=types
        )
    return segments


class _ColumnWriter(SegmentWriter):
    """Writes what is in columns already. All its users are new."""

    def __init__(self, users: Users) -> None:
        super().__init__(users)
        self._users_before = 0

    def add_columns(self, table: Any) -> None:
        for part, schema in (("facts", FACTS), ("ids", IDS)):
            told = pa.table([table[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
            self._writers[part].write_table(told, row_group_size=ROW_GROUP)


def _idps() -> Iterator[Recorded]:
    for seq, (publisher, event) in enumerate(idp_events(), start=1):
        yield Recorded(seq, NOW, "default", f"idp-event-{seq:04}", publisher, event)


def _segment(random: np.random.Generator, generation: NDArray[np.int64], first: int, count: int, *, new: range) -> Any:
    """Some events of users that were met before, among which the new users log in for the first time."""
    user = random.integers(0, max(new.stop, 1), count)
    kinds = list(SHARES)
    kind = random.choice(len(kinds), count, p=list(SHARES.values()))
    places = random.choice(count, len(new), replace=False)
    user[places], kind[places] = np.arange(new.start, new.stop), kinds.index("login")
    stores = np.isin(kind, [kinds.index(one) for one in ("refresh", "login", "step-up")])
    told = np.zeros(count, np.int64)
    order = np.flatnonzero(stores)[np.argsort(user[stores], kind="stable")]
    sorted_users = user[order]
    starts = np.flatnonzero(np.r_[True, sorted_users[1:] != sorted_users[:-1]])
    lengths = np.diff(np.r_[starts, len(order)])
    told[order] = generation[sorted_users] + 1 + np.arange(len(order)) - np.repeat(starts, lengths)
    np.maximum.at(generation, user[stores], told[stores])
    clears = kind == kinds.index("clear")
    told[clears] = np.maximum(generation[user[clears]], 1)
    held = user % GRANT_SETS
    sayings = [row_of(_said(name, number), "default") for name in kinds for number in range(GRANT_SETS)]
    said = kind * GRANT_SETS + held
    nothing = pa.nulls(count, pa.string())
    after = pa.array(np.where(stores, HOUR_US, 0), mask=~stores)
    columns = {
        "seq": pa.array(np.arange(first, first + count, dtype=np.uint64)),
        "at": pa.array(1_767_225_600_000_000 + np.arange(first, first + count) * 1_000).cast(LOGICAL.field("at").type),
        "event_id": random_ids(random, count),
        "user": pa.array(user.astype(np.uint32)),
        "generation": pa.array(told.astype(np.uint32), mask=~(stores | clears)),
        "fingerprint": pc.if_else(pa.array(stores), random_ids(random, count), None),
        "predecessor": nothing,
        "access_after_us": after,
        "idle_after_us": after,
        "absolute_after_us": pa.nulls(count, pa.int64()),
        "ref": pc.if_else(pa.array(kind == kinds.index("failed")), random_ids(random, count), None),
        **{
            name: pa.array([getattr(one, name) for one in sayings]).dictionary_encode().take(pa.array(said))
            for name in ("type", "idp", "publisher", "detail")
        },
    }
    return pa.table([columns[name] for name in COLUMNS], names=list(COLUMNS))


def _said(kind: str, number: int) -> Recorded:
    """What an event of a kind says, of somebody who holds one of the grants."""
    token = token_stored(number)
    user, idp = token.user, token.idp
    event: Event
    publisher = "auth"
    match kind:
        case "logged-in":
            event = UserLoggedIn(user=user, idp=idp, client="playground")
        case "report":
            publisher, kind_of = "jira-gateway", resource_type_of("acme.connector-1")
            event = TokenInsufficient(user=user, idp=idp, resource_type=kind_of, missing=("read:b",))
        case "clear":
            event = TokenCleared(user=user, idp=idp, generation=1, reason="revoked")
        case "failed":
            event = AuthorizationFailed(
                attempt="attempt-0001", idp=idp, client="playground", requested=token.requested, stage="authorize",
                error="access_denied",
            )  # fmt: skip
        case "refresh":
            event = replace(token, cause="refresh", granted=None)
        case "step-up":
            more = (*token.requested, "read:a")
            event = replace(token, cause="step-up", requested=more, granted=more)
        case _:
            event = token
    return Recorded(1, NOW + timedelta(seconds=1), "default", "event-0001", publisher, event)
