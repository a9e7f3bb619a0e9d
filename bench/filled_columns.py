"""A long log with many users, made as columns: what took years to come about is there in a minute.

Everybody logs in once; then tokens are refreshed, most of all, and some log in again, step up, are reported, cleared.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace
from numpy.typing import NDArray

from bench.filled_log import GRANT_SETS, NOW, idp_events, token_stored
from scopefold.contracts.columns import COLUMNS, row_of
from scopefold.contracts.events import Event, TokenCleared, TokenInsufficient, UserLoggedIn
from scopefold.contracts.recorded import Recorded
from scopefold.contracts.words import resource_type_of

TYPES: Final = {
    "u64": pa.uint64(),
    "u32": pa.uint32(),
    "i64": pa.int64(),
    "str": pa.string(),
    "timestamp(us, UTC)": pa.timestamp("us", "UTC"),
}
SHARES: Final = {"refresh": 0.70, "logged-in": 0.15, "login": 0.11, "step-up": 0.03, "report": 0.006, "clear": 0.004}
HOUR_US: Final = 3_600_000_000
IDS: Final = 22
_ALPHABET: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", np.uint8)


def schema() -> Any:
    """The log's columns, as Arrow has them."""
    return pa.schema([(name, TYPES[kind.rstrip("?")]) for name, kind in COLUMNS.items()])


def random_ids(random: np.random.Generator, count: int) -> Any:
    """As many random texts of 22 characters, as an Arrow array."""
    data = _ALPHABET[random.integers(0, 64, count * IDS, dtype=np.uint8)]
    ends = np.arange(count + 1, dtype=np.int32) * IDS
    return pa.StringArray.from_buffers(count, pa.py_buffer(ends), pa.py_buffer(data))


def segments(events: int, users: int, at_once: int, seed: int = 1) -> Iterator[Any]:
    """The log as tables of at most so many rows each."""
    random = np.random.default_rng(seed)
    names, generation = random_ids(random, users), np.zeros(users, np.int64)
    begin = [row_of(recorded, "default")._asdict() for recorded in _idps()]
    yield pa.Table.from_pylist(begin, schema())
    done = len(begin)
    met = 0
    while done < events:
        count = min(at_once, events - done)
        new = min(users - met, -(-count * users // max(1, events - len(begin))))
        yield _segment(random, names, generation, done + 1, count, new=range(met, met + new))
        done, met = done + count, met + new


def _idps() -> Iterator[Recorded]:
    for seq, (publisher, event) in enumerate(idp_events(), start=1):
        yield Recorded(seq, NOW, "default", f"idp-event-{seq:04}", publisher, event)


def _segment(
    random: np.random.Generator, names: Any, generation: NDArray[np.int64], first: int, count: int, *, new: range
) -> Any:
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
        "at": pa.array(1_767_225_600_000_000 + np.arange(first, first + count) * 1_000).cast(
            TYPES["timestamp(us, UTC)"]
        ),
        "event_id": random_ids(random, count),
        "user": names.take(pa.array(user)),
        "generation": pa.array(told.astype(np.uint32), mask=~(stores | clears)),
        "fingerprint": pc.if_else(pa.array(stores), random_ids(random, count), None),
        "predecessor": nothing,
        "access_after_us": after,
        "idle_after_us": after,
        "absolute_after_us": pa.nulls(count, pa.int64()),
        "ref": nothing,
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
        case "refresh":
            event = replace(token, cause="refresh", granted=None)
        case "step-up":
            more = (*token.requested, "read:a")
            event = replace(token, cause="step-up", requested=more, granted=more)
        case _:
            event = token
    return Recorded(1, NOW + timedelta(seconds=1), "default", "event-0001", publisher, event)
