"""The committed documents are what the declared events give, and they are true of the examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from jsonschema.protocols import Validator

from scopefold.contracts.__main__ import write
from scopefold.contracts.codec import decode, encode
from scopefold.contracts.commands import DeprovisionConnector, ProvisionConnector
from scopefold.contracts.documents import EVENT_TYPES, address_of, asyncapi, documents, headers_schema, schema_of
from scopefold.contracts.events import Event, tag_of
from scopefold.contracts.examples import ANSWER, COMMANDS, EVENTS, EXCHANGE_ASKED, EXCHANGED, example_headers
from scopefold.contracts.recorded import PUBLISHERS
from scopefold.contracts.subjects import shard_of, subject_of

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "contracts" / "generated"


def validator(schema: dict[str, Any]) -> Validator:
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_regenerating_leaves_no_diff() -> None:
    committed = {
        path.relative_to(GENERATED).as_posix(): path.read_bytes() for path in GENERATED.rglob("*") if path.is_file()
    }
    fresh = documents()
    assert sorted(fresh) == sorted(committed), "run: python -m scopefold.contracts"
    stale = sorted(name for name, content in fresh.items() if committed[name] != content)
    assert stale == [], "run: python -m scopefold.contracts"


def test_writing_removes_what_no_longer_belongs_and_refuses_a_folder_of_something_else(tmp_path: Path) -> None:
    write(tmp_path / "new")
    (tmp_path / "new" / "schemas" / "gone.v1.json").write_text("{}")
    write(tmp_path / "new")
    assert not (tmp_path / "new" / "schemas" / "gone.v1.json").exists()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit):
        write(foreign)
    assert (foreign / "thesis.txt").read_text() == "years of work"


def test_every_event_type_has_exactly_one_example() -> None:
    assert list(EVENT_TYPES) == [type(example) for example in EVENTS]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: tag_of(type(event)))
def test_an_example_round_trips_and_its_payload_and_headers_meet_their_schemas(event: Event) -> None:
    assert event == decode(encode(event))
    validator(schema_of(type(event))).validate(json.loads(encode(event)))
    validator(headers_schema(type(event))).validate(dict(example_headers(event)))


@pytest.mark.parametrize(
    "message", [*COMMANDS, ANSWER, EXCHANGE_ASKED, EXCHANGED], ids=lambda message: type(message).__name__
)
def test_a_command_and_its_answer_meet_their_schemas(message: msgspec.Struct) -> None:
    payload = msgspec.json.encode(message)
    assert message == msgspec.json.decode(payload, type=type(message))
    validator(schema_of(type(message))).validate(json.loads(payload))


@pytest.mark.parametrize("message", [*COMMANDS, EXCHANGE_ASKED], ids=lambda message: type(message).__name__)
def test_a_field_that_a_command_does_not_have_is_refused(message: msgspec.Struct) -> None:
    more = {**json.loads(msgspec.json.encode(message)), "idempotency-key": "meant-and-mistyped"}
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(msgspec.json.encode(more), type=type(message))
    with pytest.raises(jsonschema.ValidationError, match="idempotency-key"):
        validator(schema_of(type(message))).validate(more)


@pytest.mark.parametrize("message", [*EVENTS, ANSWER, EXCHANGED], ids=lambda message: type(message).__name__)
def test_a_field_of_a_newer_version_of_an_event_or_an_answer_is_passed_over(message: msgspec.Struct) -> None:
    more = {**json.loads(msgspec.json.encode(message)), "of_a_newer_version": 1}
    assert message == msgspec.json.decode(msgspec.json.encode(more), type=type(message))
    validator(schema_of(type(message))).validate(more)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: tag_of(type(event)))
def test_the_address_in_the_document_is_the_subject_of_the_event(event: Event) -> None:
    address = asyncapi()["channels"][tag_of(type(event))]["address"]
    user = str(getattr(event, "user", None) or getattr(event, "attempt", ""))
    filled = address.format(tenant="acme", idp=event.idp, shard=shard_of(user))
    assert subject_of(event, "acme") == filled
    assert address == address_of(type(event))


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    found = set(references(document))
    assert found
    for reference in found:
        place: Any = document
        for token in reference.removeprefix("#/").split("/"):
            place = place[token]


def test_the_asyncapi_document_names_every_publisher_and_both_commands_with_their_reply() -> None:
    operations = asyncapi()["operations"]
    named = {tag_of(kind): operations[f"publish-{tag_of(kind)}"]["x-publisher"] for kind in EVENT_TYPES}
    assert {tag_of(kind): by or "*" for kind, by in PUBLISHERS.items()} == named
    for command in (ProvisionConnector, DeprovisionConnector):
        operation = operations[f"handle-{tag_of(command)}"]
        assert operation["action"] == "receive"
        assert operation["reply"]["channel"]["$ref"] == "#/channels/connector-answer"


def test_every_event_and_every_field_that_needs_it_is_described() -> None:
    for kind in EVENT_TYPES:
        assert (kind.__doc__ or "").strip().endswith("."), f"{kind.__name__} has no docstring"
        assert schema_of(kind)["description"]
