"""What must hold after any campaign. Each oracle gives what is wrong; nothing wrong is an empty list."""

import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from scopefold.auth.store.projection import Projection
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned, Event, TokenStored, UserLoggedIn
from scopefold.contracts.recorded import Message, Quarantined, examine
from scopefold.ledger.follow import catch_up
from scopefold.ledger.log import Log
from scopefold.provisioner.core.decide import event_id_of
from tests.faults.journal import Answered, LoggedIn, Promise, Stored, sha256


class Violation(Struct, frozen=True, order=True):
    """An oracle that speaks, and what it saw."""

    oracle: str
    process: str
    what: str


class Found(Struct, frozen=True):
    """A message of the log as the oracles look at it. `event` is None where it was quarantined."""

    seq: int
    event_id: str
    payload_sha256: str
    event: Event | None


def found(message: Message) -> Found:
    """The message, examined."""
    one = examine(message)
    event = None if isinstance(one, Quarantined) else one.event
    return Found(message.seq, message.headers.get("Nats-Msg-Id", ""), sha256(message.payload), event)


def nothing_lost(promises: Iterable[Promise], log: Sequence[Found]) -> list[Violation]:
    """O1: everything that was acknowledged is in the log, under the same id and with the same payload."""
    by_id = {one.event_id: one for one in log}
    logins = Counter(one.event.user for one in log if isinstance(one.event, UserLoggedIn))
    promised: Counter[str] = Counter()
    wrong = []
    for promise in promises:
        match promise:
            case Stored():
                for event_id, expected in promise.events:
                    if event_id not in by_id or by_id[event_id].payload_sha256 != expected:
                        wrong.append(Violation("O1", "nats", f"event {event_id} is not in the log as acknowledged"))
            case Answered():
                one = by_id.get(event_id_of("default", promise.key))
                kind = ConnectorProvisioned if promise.provision else ConnectorDeprovisioned
                if one is None or not isinstance(one.event, kind):
                    wrong.append(Violation("O1", "provisioner", f"command {promise.key} left no event in the log"))
            case LoggedIn():
                promised[promise.user] += promise.anew
    wrong += [
        Violation("O1", "auth", f"{user} logged in {times} times; the log has {logins[user]}")
        for user, times in promised.items()
        if logins[user] < times
    ]
    return wrong


def nothing_twice(promises: Iterable[Promise], log: Sequence[Found]) -> list[Violation]:
    """O2: no id stands twice, no command has two events, no token of a user was stored twice, one person is one user.

    An append's payload is its own, so the same payload under two ids is the same command applied twice.
    """
    ids = Counter(one.event_id for one in log)
    wrong = [Violation("O2", "nats", f"id {event_id} stands {n} times") for event_id, n in ids.items() if n > 1]
    payloads = Counter(one.payload_sha256 for one in log)
    tokens = Counter((e.user, e.idp, e.generation) for one in log if isinstance(e := one.event, TokenStored))
    wrong += [
        Violation("O2", "auth", f"token {generation} of {user} at {idp} was stored {n} times")
        for (user, idp, generation), n in tokens.items()
        if n > 1
    ]
    people: defaultdict[str, set[str]] = defaultdict(set)
    for promise in promises:
        if isinstance(promise, Stored):
            wrong += [
                Violation("O2", "nats", f"the event acknowledged as {event_id} stands {payloads[sha]} times")
                for event_id, sha in promise.events
                if payloads[sha] > 1
            ]
        if isinstance(promise, LoggedIn):
            people[promise.person].add(promise.user)
    wrong += [Violation("O2", "auth", f"{person} is {users}") for person, users in people.items() if len(users) > 1]
    return wrong


def no_gap(log: Sequence[Found], last_seq: int) -> list[Violation]:
    """O3: the log reads 1 to its end without a hole, every batch in one piece, and every message is an event."""
    wrong = []
    for expected, one in enumerate(log, start=1):
        if one.seq != expected:
            wrong.append(Violation("O3", "nats", f"sequence {expected} is missing; the next one is {one.seq}"))
            break
    if len(log) != last_seq:
        wrong.append(Violation("O3", "nats", f"the log ends at {last_seq} and holds {len(log)} messages"))
    wrong += [Violation("O3", "nats", f"message {one.seq} is no event") for one in log if one.event is None]
    return wrong


def in_one_piece(promises: Iterable[Promise], log: Sequence[Found]) -> list[Violation]:
    """O3: what was appended as one batch stands side by side."""
    places = {one.event_id: one.seq for one in log}
    wrong = []
    for promise in promises:
        if isinstance(promise, Stored):
            seqs = [places[event_id] for event_id, _ in promise.events if event_id in places]
            if seqs and seqs != list(range(seqs[0], seqs[0] + len(seqs))):
                wrong.append(Violation("O3", "nats", f"batch {promise.events[0][0]} stands in pieces: {seqs}"))
    return wrong


def provisioned_by(log: Iterable[Found]) -> dict[str, tuple[str, int]]:
    """What is provisioned according to the log: resource type to the event and its sequence."""
    now: dict[str, tuple[str, int]] = {}
    for one in log:
        match one.event:
            case ConnectorProvisioned():
                now[one.event.resource_type] = (one.event_id, one.seq)
            case ConnectorDeprovisioned():
                now.pop(one.event.resource_type, None)
            case _:
                continue
    return now


async def dump_of(database: Path) -> str:
    """The hash of a database's canonical dump."""
    projection = Projection("default")
    await projection.open(database)
    try:
        return await _hash(projection)
    finally:
        await projection.close()


async def same_as_rebuilt(log: Log, database: Path) -> list[Violation]:
    """O4: the database of a stopped auth says what a fresh rebuild from the log says."""
    live = await dump_of(database)
    projection = Projection("default")
    with tempfile.TemporaryDirectory() as folder:
        await projection.open(Path(folder) / "projection.db")
        try:
            reached = await catch_up(log, None, projection.apply)
            rebuilt = await _hash(projection)
        finally:
            await projection.close()
    if live == rebuilt:
        return []
    return [Violation("O4", "auth", f"at {reached.seq}: live dump {live[:12]}, rebuilt {rebuilt[:12]}")]


async def _hash(projection: Projection) -> str:
    running = hashlib.sha256()
    async for line in projection.dump():
        running.update(line + b"\n")
    return running.hexdigest()
