"""A row says all that its message says: there and back is the same, for every type of event."""

from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from scopefold.contracts.columns import (
    COLUMNS,
    ELSEWHERE,
    EXPLAINING,
    QUARANTINED,
    BadRow,
    Row,
    known_types,
    message_in,
    row_of,
)
from scopefold.contracts.events import Event, TokenStored, tag_of
from scopefold.contracts.examples import EVENTS, event_example
from scopefold.contracts.recorded import Quarantined, Recorded
from tests.support.any_event import any_messages

AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)


def recorded(event: Event, tenant: str = "default") -> Recorded:
    return Recorded(7, AT, tenant, "event-0001", "auth", event)


@settings(max_examples=40, deadline=None)
@given(any_messages())
def test_there_and_back_is_the_same(messages: list[Recorded | Quarantined]) -> None:
    for one in messages:
        again = message_in(row_of(one, "default"), "default")
        assert one == again
        assert msgspec.json.encode(one) == msgspec.json.encode(again)  # also which zone a time was said in


def test_the_examples_are_of_every_type() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    for event in EVENTS:
        assert recorded(event) == message_in(row_of(recorded(event), "default"), "default")


def test_a_row_has_the_columns_that_are_told() -> None:
    assert tuple(COLUMNS) == Row._fields
    assert set(EXPLAINING) < set(COLUMNS)


def test_what_most_events_say_stands_in_columns_and_the_rest_repeats() -> None:
    token = event_example(TokenStored)
    first = row_of(recorded(token), "default")
    second = row_of(recorded(replace(token, user="u_somebody-else", generation=9, fingerprint="f" * 22)), "default")
    assert first.detail == second.detail
    assert (9, "u_somebody-else", "f" * 22) == (second.generation, second.user, second.fingerprint)
    assert {"requested", "granted", "evidence", "known_by", "cause"} == set(msgspec.json.decode(first.detail))


def test_a_clock_counts_from_the_logs_own_time() -> None:
    token = replace(event_example(TokenStored), access_expires_at=AT + timedelta(hours=1))
    assert 3_600_000_000 == row_of(recorded(token), "default").access_after_us


def test_what_a_column_cannot_hold_stands_in_detail() -> None:
    zone = timezone(timedelta(hours=2))
    token = replace(event_example(TokenStored), generation=2**32, access_expires_at=AT.astimezone(zone))
    row = row_of(recorded(token), "default")
    assert (None, 0) == (row.generation, row.access_after_us)
    assert {"generation", "access_expires_at"} < set(msgspec.json.decode(row.detail))
    assert recorded(token) == message_in(row, "default")


def test_another_tenants_event_stands_in_no_column_of_this_ones() -> None:
    theirs = recorded(event_example(TokenStored), "other")
    row = row_of(theirs, "default")
    assert (ELSEWHERE, "", None, "", None) == (row.type, row.idp, row.user, row.event_id, row.fingerprint)
    assert theirs == message_in(row, "default")


@pytest.mark.parametrize(
    "changed",
    [
        {"type": "token-renewed.v9"},
        {"detail": "{"},
        {"detail": "[]"},
        {"detail": "{}"},
        {"user": None},
        {"detail": '{"more":1}'},
        {"type": QUARANTINED},
        {"type": ELSEWHERE},
        {"access_after_us": 2**62},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_refused_and_named(changed: dict[str, object]) -> None:
    row = row_of(recorded(event_example(TokenStored)), "default")._replace(**changed)  # type: ignore[arg-type]
    with pytest.raises(BadRow, match="sequence 7 is no"):
        message_in(row, "default")


def test_every_type_is_known() -> None:
    assert {*map(tag_of, get_args(Event)), QUARANTINED, ELSEWHERE} <= known_types()
