"""What is an event of the log is decided by the message alone, alike in every reader, and never by an exception."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scopefold.contracts.codec import decode, encode
from scopefold.contracts.events import Event, IdpRegistered, TokenInsufficient, TokenStored
from scopefold.contracts.examples import EVENT_ID, EVENTS, event_example, example_headers
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES, Message, Quarantined, Recorded, examine
from scopefold.contracts.subjects import SHARDS, shard_of, subject_of

AT = datetime(2026, 1, 15, 9, 30, tzinfo=UTC)
TOKEN = event_example(TokenStored)
PAYLOAD = encode(TOKEN)
SUBJECT = subject_of(TOKEN, "default")
HEADERS = dict(example_headers(TOKEN))
REPORT = event_example(TokenInsufficient)


def message(payload: bytes = PAYLOAD, subject: str = SUBJECT, headers: Mapping[str, str] = HEADERS) -> Message:
    return Message(7, AT, subject, headers, payload)


def without(name: str) -> dict[str, str]:
    return {key: value for key, value in HEADERS.items() if key != name}


def member(text: bytes) -> bytes:
    """The payload with one more member, which no event has."""
    return PAYLOAD[:-1] + b',"more":' + text + b"}"


def of(event: Event, **changed: str) -> Message:
    headers = {**example_headers(event), **{name.replace("_", "-"): value for name, value in changed.items()}}
    return message(encode(event), subject_of(event, "default"), headers)


SHARD = shard_of("u_7Jt0m1mX2bq4nV9c")
OTHER_SHARD = SUBJECT.replace(f".{SHARD}.", f".{(SHARD + 1) % SHARDS}.")

QUARANTINED: list[tuple[str, Message, str]] = [
    # what is wrong, the message, how the reason starts
    ("bad JSON", message(PAYLOAD[:-1]), "undecodable"),
    ("text after the JSON", message(PAYLOAD + b"{}"), "undecodable"),
    ("invalid UTF-8 in a member", message(PAYLOAD.replace(b"atlassian", b"atl\xffassian")), "undecodable"),
    ("invalid UTF-8 where nobody looks", message(member(b'"\xff"')), "undecodable"),
    ("an unknown tag", message(PAYLOAD.replace(b"token-stored.v1", b"token-stored.v9")), "undecodable"),
    ("no tag", message(b"{}"), "undecodable"),
    ("100,000 open brackets", message(b"[" * 100_000), "undecodable"),
    ("10,000 levels in a member", message(member(b"[" * 10_000 + b"]" * 10_000)), "undecodable: the payload nests"),
    ("33 levels in a member", message(member(b"[" * 32 + b"]" * 32)), "undecodable: the payload nests"),
    ("a field that breaks its rule", message(PAYLOAD.replace(b'"atlassian"', b'"At lassian"')), "undecodable"),
    ("JSON null", message(b"null"), "undecodable"),
    ("an empty payload", message(b""), "undecodable"),
    ("NUL bytes", message(b"\x00" * 8), "undecodable"),
    ("a NUL in an id", message(PAYLOAD.replace(b"u_7Jt0m1mX2bq4nV9c", b"u_7Jt0m1mX2bq4nV\\u0000")), "undecodable"),
    ("over 64 KiB", message(member(b'"' + b"x" * MAX_PAYLOAD_BYTES + b'"')), "undecodable: the payload is longer"),
    ("no headers", message(headers={}), "headers: ce-id"),
    ("no ce-id", message(headers=without("ce-id")), "headers: ce-id"),
    ("no Nats-Msg-Id", message(headers=without("Nats-Msg-Id")), "headers: ce-id"),
    ("unequal ids", message(headers={**HEADERS, "ce-id": EVENT_ID + "x"}), "headers: ce-id"),
    ("a malformed id", message(headers={**HEADERS, "ce-id": "a b", "Nats-Msg-Id": "a b"}), "headers: ce-id"),
    ("no ce-type", message(headers=without("ce-type")), "headers: ce-type"),
    ("another ce-type", message(headers={**HEADERS, "ce-type": "user-logged-in.v1"}), "headers: ce-type"),
    ("another event's subject", message(subject=SUBJECT.replace("token-stored", "token-cleared")), "subject"),
    ("another IdP's subject", message(subject=SUBJECT.replace("atlassian", "google")), "subject"),
    ("another shard", message(subject=OTHER_SHARD), "subject: this event belongs on"),
    ("a subject outside the log", message(subject=SUBJECT.replace("ledger", "journal")), "subject"),
    ("an empty subject", message(subject=""), "subject"),
    ("an empty tenant", message(subject=SUBJECT.replace("default", "")), "subject: its second token"),
    ("a tenant in capitals", message(subject=SUBJECT.replace("default", "Default")), "subject: its second token"),
    ("a wildcard as tenant", message(subject=SUBJECT.replace("default", "*")), "subject: its second token"),
    ("a tenant with a line feed", message(subject=SUBJECT.replace("default", "a\n")), "subject: its second token"),
    ("two tenants", message(subject=SUBJECT.replace("default", "default.other")), "subject"),
    ("a publisher that may not", of(TOKEN, ce_source="urn:scopefold:service:provisioner"), "publisher: provisioner"),
    ("auth as provisioner", of(EVENTS[1], ce_source="urn:scopefold:service:auth"), "publisher: auth may not"),
    ("no source", message(headers=without("ce-source")), "publisher: ce-source"),
    ("a source without the prefix", of(TOKEN, ce_source="auth"), "publisher: ce-source"),
    ("a source that is the prefix", of(REPORT, ce_source="urn:scopefold:service:"), "publisher: ce-source"),
    ("a service with a line feed", of(REPORT, ce_source="urn:scopefold:service:auth\n"), "publisher: ce-source"),
]


@pytest.mark.parametrize(("bad", "reason"), [row[1:] for row in QUARANTINED], ids=[row[0] for row in QUARANTINED])
def test_a_message_that_breaks_a_rule_is_set_aside_with_the_reason(bad: Message, reason: str) -> None:
    found = examine(bad)
    assert isinstance(found, Quarantined), found
    assert found.reason.startswith(reason), found.reason
    assert (bad.seq, bad.at, bad.subject) == (found.seq, found.at, found.subject)
    assert len(found.reason) <= 500


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_message_that_keeps_every_rule_is_recorded(event: Event) -> None:
    found = examine(of(event))
    publisher = example_headers(event)["ce-source"].rpartition(":")[2]
    assert Recorded(7, AT, "default", EVENT_ID, publisher, event) == found


def test_any_service_may_report_an_insufficient_token() -> None:
    found = examine(of(REPORT, ce_source="urn:scopefold:service:confluence-gateway"))
    assert isinstance(found, Recorded)
    assert found.publisher == "confluence-gateway"


def test_a_payload_may_nest_and_hold_brackets_in_its_texts() -> None:
    assert isinstance(examine(message(member(b"[" * 31 + b"]" * 31))), Recorded)
    assert isinstance(examine(message(member(b'"' + rb"[{\"" * 100 + b'"'))), Recorded)
    registered = IdpRegistered(idp="a", profile="plain", client_id="c", authorize_params={"x": '"[[' * 100})
    assert registered == decode(encode(registered))


def decided_at_stack_depth(depth: int, judged: Message) -> bool:
    return decided_at_stack_depth(depth - 1, judged) if depth else isinstance(examine(judged), Recorded)


@pytest.mark.parametrize("levels", [10, 31, 32, 200, 500])
def test_the_decision_does_not_depend_on_the_readers_stack(levels: int) -> None:
    judged = message(member(b"[" * levels + b"]" * levels))
    assert {levels <= 31} == {decided_at_stack_depth(depth, judged) for depth in (0, 200, 600)}


NAMES = st.sampled_from(sorted(HEADERS)) | st.text(max_size=20)
VALUES = st.sampled_from(sorted(HEADERS.values())) | st.text(max_size=60)
TEXTS = st.sampled_from([PAYLOAD, b"null", b"{}"]) | st.binary(max_size=300)


@given(
    payload=TEXTS | st.builds(lambda cut, more: PAYLOAD[:cut] + more + PAYLOAD[cut:], st.integers(0, 400), TEXTS),
    subject=st.sampled_from([SUBJECT, OTHER_SHARD]) | st.text(alphabet="ledgr.*> u7\n\x00\u0430", max_size=40),
    headers=st.dictionaries(NAMES, VALUES, max_size=8) | st.just(HEADERS),
)
@example(payload=PAYLOAD, subject=SUBJECT, headers=HEADERS)
def test_examine_never_raises_and_decides_alike_twice(payload: bytes, subject: str, headers: dict[str, str]) -> None:
    judged = message(payload, subject, headers)
    found = examine(judged)
    assert found == examine(judged)
    if isinstance(found, Recorded):
        assert subject == subject_of(found.event, found.tenant)
        assert decode(payload) == found.event


def test_a_users_shard_never_changes() -> None:
    fixed = {"u_7Jt0m1mX2bq4nV9c": 162, "a_Zx81mQw0Lr2T": 155, "user-0001": 139}
    assert fixed == {key: shard_of(key) for key in fixed}
