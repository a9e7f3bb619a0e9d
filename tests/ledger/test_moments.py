"""A moment of the log has one grammar, and means one sequence or is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from scopefold.contracts.events import ConnectorProvisioned, Event, UserLoggedIn
from scopefold.ledger import moments
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.log import Log, status
from scopefold.ledger.moment import MAX_SEQ, BadMoment, Moment, NoSuchMoment, parse
from scopefold.ledger.moments import resolve, time_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = datetime(9999, 1, 1, tzinfo=UTC)

GRAMMAR: list[tuple[str, Moment | None]] = [
    ("0", 0),
    ("42", 42),
    ("9" * 18, 10**18 - 1),
    ("9" * 5000, MAX_SEQ),
    ("2026-01-01T12:00:00Z", NOON),
    ("2026-01-01t12:00:00z", NOON),
    ("2026-01-01 12:00:00+00:00", NOON),
    ("2026-01-01T14:00:00+02:00", NOON),
    ("2026-01-01", None),
    ("2026-01-01T12:00:00", None),
    ("2026-13-01T12:00:00Z", None),
    ("2026-01-01-event", "2026-01-01-event"),
    ("018f3c5e-7a34-7cc1-9d0a-0242ac120002", "018f3c5e-7a34-7cc1-9d0a-0242ac120002"),
    ("yesterday", "yesterday"),
    ("-1", None),
    ("٤", None),
    ("", None),
    ("now", None),
    ("an event", None),
    ("x" * 101, None),
    ("event-00001\n", None),
]


@pytest.mark.parametrize(("text", "expected"), GRAMMAR)
def test_a_moment_is_a_sequence_a_time_or_an_event(text: str, expected: Moment | None) -> None:
    if expected is not None:
        assert expected == parse(text)
        return
    with pytest.raises(BadMoment):
        parse(text)


async def put(log: Log, event: Event, event_id: str) -> None:
    by = "provisioner" if isinstance(event, ConnectorProvisioned) else "auth"
    await append(log, [NewEvent(event_id, event)], tenant="default", publisher=by, now=NOON)


async def filled(log: Log) -> None:
    """Five events: one of an IdP at 3, the others of users."""
    for seq in range(1, 6):
        event: Event = UserLoggedIn(user="user-0001", idp="atlassian", client="playground")
        if seq == 3:
            event = ConnectorProvisioned(
                resource_type="urn:connector:identos:jira-user",
                connector="identos.jira-user",
                connector_version="1.0.0",
                title="Jira",
                auth_mode="idp_passthrough",
                idp="atlassian",
                upstream_scopes=("read:me",),
            )
        await put(log, event, f"event-{seq:05}")


async def test_every_sequence_time_and_id_of_the_log_means_its_place(log: Log) -> None:
    await filled(log)
    for seq in range(1, 6):
        at = await time_of(log, seq)
        assert [seq, seq, seq] == [await resolve(log, one, LATER) for one in (seq, at, f"event-{seq:05}")]
        assert seq - 1 == await resolve(log, at - timedelta(microseconds=1), LATER)
    assert 0 == await resolve(log, 0, LATER)
    assert 5 == await resolve(log, await time_of(log, 5) + timedelta(hours=1), LATER)


async def test_what_the_log_does_not_reach_is_refused_with_the_reason(log: Log) -> None:
    await filled(log)
    began, now = (await status(log)).created, datetime.now(UTC)
    for moment, reason in (
        (6, "The log ends at sequence 5."),
        (MAX_SEQ, "The log ends at sequence 5."),
        (now + timedelta(seconds=1), "has not come yet"),
        (began - timedelta(seconds=1), "The log began at"),
        ("event-00006", "No event event-00006 is in the log, and that is no sequence and no time"),
    ):
        with pytest.raises(NoSuchMoment, match=reason):
            await resolve(log, moment, now)


async def test_an_empty_log_has_its_beginning_and_nothing_else(log: Log) -> None:
    assert 0 == await resolve(log, 0, LATER)
    assert 0 == await resolve(log, (await status(log)).created, LATER)
    for moment in (1, "event-00001"):
        with pytest.raises(NoSuchMoment):
            await resolve(log, moment, LATER)


async def test_an_id_is_looked_for_in_many_pages_and_not_for_ever(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(log)
    monkeypatch.setattr(moments, "BATCH", 1)
    assert 1 == await resolve(log, "event-00001", LATER)
    monkeypatch.setattr(moments, "SCANNED", 2)
    assert 4 == await resolve(log, "event-00004", LATER)
    assert 3 == await resolve(log, "event-00003", LATER), "what concerns IdPs is found wherever it stands"
    with pytest.raises(NoSuchMoment, match="the last 2 events; give its sequence instead"):
        await resolve(log, "event-00001", LATER)
