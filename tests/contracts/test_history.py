"""Every tag that was ever shipped decodes, for ever, and still belongs where it stood."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from scopefold.contracts.codec import UPCASTS, Undecodable, decode, encode
from scopefold.contracts.documents import EVENT_TYPES
from scopefold.contracts.events import UserLoggedIn, tag_of
from scopefold.contracts.recorded import Message, Quarantined, Recorded, examine

HISTORY = Path(__file__).parents[2] / "contracts" / "history"
FILES = sorted(HISTORY.glob("*.json"))
CURRENT = {tag_of(kind) for kind in EVENT_TYPES}


class Shipped(Struct, forbid_unknown_fields=True):
    """One file of the history."""

    subject: str
    headers: dict[str, str]
    payload: dict[str, Any]


def load(path: Path) -> Shipped:
    return Shipped(**json.loads(path.read_text(encoding="utf-8")))


def as_message(shipped: Shipped) -> Message:
    payload = json.dumps(shipped.payload).encode()
    return Message(1, datetime(2026, 1, 1, tzinfo=UTC), shipped.subject, shipped.headers, payload)


def test_every_tag_has_a_history_file_and_every_file_a_tag() -> None:
    assert {path.name.removesuffix(".json") for path in FILES} == CURRENT | set(UPCASTS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_shipped_is_still_an_event_of_the_log(path: Path) -> None:
    shipped = load(path)
    found = examine(as_message(shipped))
    assert isinstance(found, Recorded), found
    assert path.name == f"{shipped.payload['type']}.json"
    assert shipped.headers["ce-source"].endswith(f":{found.publisher}")
    if shipped.payload["type"] in CURRENT:
        assert shipped.payload == json.loads(encode(found.event)), "the shape of a shipped tag has changed"


def renamed(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "type": "user-came-in.v2", "idp": raw["provider"]}


def retagged(raw: dict[str, Any]) -> dict[str, Any]:
    return {**raw, "type": "user-logged-in.v1", "client": raw.get("client", "playground")}


CHAIN = {"user-came-in.v1": renamed, "user-came-in.v2": retagged}
OLD = b'{"type":"user-came-in.v1","user":"u_7Jt0m1mX2bq4nV9c","provider":"atlassian"}'


def test_an_old_tag_reaches_todays_shape_over_every_step_between() -> None:
    today = UserLoggedIn(user="u_7Jt0m1mX2bq4nV9c", idp="atlassian", client="playground")
    assert today == decode(OLD, CHAIN)
    assert today == decode(OLD.replace(b"v1", b"v2").replace(b"provider", b"idp"), CHAIN)
    assert today == decode(encode(today), CHAIN)


@pytest.mark.parametrize(
    ("payload", "upcasts"),
    [
        (OLD, {}),  # nobody knows the tag
        (OLD, {"user-came-in.v1": renamed}),  # the chain ends before today
        (OLD, {"user-came-in.v1": lambda raw: raw}),  # a chain that never ends is cut
        (OLD.replace(b"provider", b"p"), CHAIN),  # the upcast misses what it needs
        (OLD.replace(b'"atlassian"', b'"Not an id"'), CHAIN),  # today's rules hold for old facts, too
        (b'{"type":"user-came-in.v1"', CHAIN),
    ],
)
def test_an_upcast_that_cannot_succeed_is_undecodable_and_nothing_worse(payload: bytes, upcasts: Any) -> None:
    with pytest.raises(Undecodable):
        decode(payload, upcasts)


def test_an_unknown_future_tag_is_set_aside_not_guessed() -> None:
    shipped = load(HISTORY / "user-logged-in.v1.json")
    shipped.payload["type"] = shipped.headers["ce-type"] = "user-logged-in.v9"
    found = examine(as_message(shipped))
    assert isinstance(found, Quarantined)
    assert "user-logged-in.v9" in found.reason
