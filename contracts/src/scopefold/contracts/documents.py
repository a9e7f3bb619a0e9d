"""The published documents: AsyncAPI 3, JSON Schema and example payloads, made from the declared events.

Pure: gives file names and contents. `python -m scopefold.contracts` writes them.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from scopefold.contracts.commands import ConnectorAnswer, DeprovisionConnector, ProvisionConnector, command_subject
from scopefold.contracts.events import Event, name_of, tag_of
from scopefold.contracts.examples import ANSWER, COMMANDS, EXCHANGE_ASKED, EXCHANGED, event_example, example_headers
from scopefold.contracts.exchange import ExchangeAnswer, ExchangeToken, exchange_subject
from scopefold.contracts.recorded import PUBLISHERS, SOURCE_PREFIX
from scopefold.contracts.schemas import schema_components
from scopefold.contracts.subjects import SHARDS, subject_of
from scopefold.contracts.words import EVENT_ID_PATTERN, SERVICE_PATTERN

VERSION: Final = "1.0.0"
MAKE_AGAIN: Final = "Generated: do not edit. Make it again with: python -m scopefold.contracts contracts/generated"
EVENT_TYPES: Final[tuple[type[Event], ...]] = get_args(Event)
COMMAND_TYPES: Final[tuple[type[Struct], ...]] = (ProvisionConnector, DeprovisionConnector)
COMMAND_RECEIVER: Final = "provisioner"
EXCHANGER: Final = "auth"
_JSON: Final = "application/json"
_REPLY_CHANNEL: Final = "connector-answer"
_EXCHANGED: Final = "exchange-answer"
_STEMS: Final[Mapping[type[Struct], str]] = {ConnectorAnswer: _REPLY_CHANNEL, ExchangeAnswer: _EXCHANGED}

_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "tenant": {"description": "The organisation that owns this part of the log.", "default": "default"},
    "idp": {"description": "An identity provider, as the operator named it.", "examples": ["atlassian"]},
    "service": {"description": "Who asks: the bus lets nobody else publish here.", "examples": ["jira-gateway"]},
    "shard": {
        "description": f"0 to {SHARDS - 1}: the first byte of the SHA-256 of the user id; of the login attempt "
        "where no user is known.",
        "examples": ["17"],
    },
}


def documents() -> dict[str, bytes]:
    """Every generated file: its path within the folder, to its content."""
    files = {"README.md": _readme().encode(), "asyncapi.json": _dump(asyncapi())}
    for kind in _all_types():
        files[f"schemas/{file_stem(kind)}.json"] = _dump(schema_of(kind))
    for event_type in EVENT_TYPES:
        files[f"examples/{tag_of(event_type)}.json"] = _dump(msgspec.to_builtins(event_example(event_type)))
    for message in (*COMMANDS, ANSWER, EXCHANGE_ASKED, EXCHANGED):
        files[f"examples/{file_stem(type(message))}.json"] = _dump(msgspec.to_builtins(message))
    return files


def _all_types() -> tuple[type[Struct], ...]:
    return (*EVENT_TYPES, *COMMAND_TYPES, ConnectorAnswer, ExchangeToken, ExchangeAnswer)


def file_stem(kind: type[Struct]) -> str:
    """What a type's files are called: its tag, where it has one."""
    return _STEMS.get(kind) or tag_of(kind)


def address_of(event_type: type[Event]) -> str:
    """The subject pattern of an event type: `ledger.{tenant}.idp.{idp}.idp-registered` and the like."""
    tokens = subject_of(event_example(event_type), "{tenant}").split(".")
    tokens[-2] = "{idp}"
    if tokens[2] == "user":
        tokens[3] = "{shard}"
    return ".".join(tokens)


def schema_of(kind: type[Struct]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a type, complete in itself."""
    (_,), components = schema_components([kind], ref_template="#/$defs/{name}")
    schema: dict[str, Any] = dict(components.pop(kind.__name__))
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["$id"] = f"urn:scopefold:schema:{file_stem(kind)}"
    schema["$comment"] = MAKE_AGAIN
    if components:
        schema["$defs"] = components
    return schema


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI 3.0.0 document of the bus."""
    _, schemas = schema_components(_all_types(), ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "x-generated": MAKE_AGAIN,
        "info": {
            "title": "Scopefold",
            "version": VERSION,
            "description": "The consent log and the connector commands, on NATS. Events are kept in the JetStream "
            "stream LEDGER; CloudEvents attributes travel as headers (binary mode). Operations are described from "
            "the side of the Scopefold services.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": _JSON,
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": schemas,
            "messages": {
                **{tag_of(kind): _event_message(kind) for kind in EVENT_TYPES},
                **{
                    file_stem(type(command)): _message(command)
                    for command in (*COMMANDS, ANSWER, EXCHANGE_ASKED, EXCHANGED)
                },
            },
        },
    }


def _channels() -> dict[str, Any]:
    channels = {tag_of(kind): _channel(address_of(kind), tag_of(kind)) for kind in EVENT_TYPES}
    for command in COMMAND_TYPES:
        channels[tag_of(command)] = _channel(command_subject("{tenant}", command), tag_of(command))
    asked = tag_of(ExchangeToken)
    channels[asked] = _channel(exchange_subject("{tenant}", "{service}"), asked)
    for reply in _STEMS.values():
        channels[reply] = {
            "address": None,
            "description": "The reply subject (inbox) that the request names.",
            "messages": _messages([reply]),
        }
    return channels


def _channel(address: str, message: str) -> dict[str, Any]:
    found = [token[1:-1] for token in address.split(".") if token.startswith("{")]
    return {
        "address": address,
        "parameters": {name: dict(_PARAMETERS[name]) for name in found},
        "messages": _messages([message]),
    }


def _messages(names: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for event_type in EVENT_TYPES:
        tag, publisher = tag_of(event_type), PUBLISHERS[event_type]
        who = f"Only {publisher} publishes it." if publisher else "Any service may publish it."
        operations[f"publish-{tag}"] = {
            **_operation("send", tag),
            "summary": who,
            "x-publisher": publisher or "*",
        }
        operations[f"follow-{tag}"] = {
            **_operation("receive", tag),
            "summary": "Whoever follows the log reads it, in the log's order.",
        }
    for command in COMMAND_TYPES:
        tag = tag_of(command)
        operations[f"handle-{tag}"] = {
            **_operation("receive", tag),
            "summary": f"{COMMAND_RECEIVER} carries the command out and answers.",
            **_answered(COMMAND_RECEIVER, _REPLY_CHANNEL),
        }
    operations[f"handle-{tag_of(ExchangeToken)}"] = {
        **_operation("receive", tag_of(ExchangeToken)),
        "summary": f"{EXCHANGER} answers with the token, or with the reason why there is none.",
        **_answered(EXCHANGER, _EXCHANGED),
    }
    return operations


def _answered(receiver: str, reply: str) -> dict[str, Any]:
    return {
        "x-receiver": receiver,
        "reply": {
            "channel": {"$ref": f"#/channels/{reply}"},
            "messages": [{"$ref": f"#/channels/{reply}/messages/{reply}"}],
        },
    }


def _operation(action: str, channel: str) -> dict[str, Any]:
    place = f"#/channels/{channel}"
    return {"action": action, "channel": {"$ref": place}, "messages": [{"$ref": f"{place}/messages/{channel}"}]}


def _event_message(event_type: type[Event]) -> dict[str, Any]:
    example = event_example(event_type)
    message = _message(example)
    message["name"] = name_of(event_type)
    message["headers"] = headers_schema(event_type)
    message["examples"][0]["headers"] = dict(example_headers(example))
    return message


def _message(example: Struct) -> dict[str, Any]:
    kind = type(example)
    return {
        "name": file_stem(kind),
        "title": kind.__name__,
        "summary": (kind.__doc__ or "").partition("\n")[0],
        "contentType": _JSON,
        "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "examples": [{"name": file_stem(kind), "payload": msgspec.to_builtins(example)}],
    }


def headers_schema(event_type: type[Event]) -> dict[str, Any]:
    """The JSON Schema of an event's headers: the CloudEvents attributes and what JetStream needs."""
    publisher = PUBLISHERS[event_type]
    source: dict[str, Any] = {"type": "string", "pattern": f"^{SOURCE_PREFIX}{SERVICE_PATTERN[1:]}"}
    if publisher is not None:
        source = {"type": "string", "const": SOURCE_PREFIX + publisher}
    event_id = {"type": "string", "pattern": EVENT_ID_PATTERN}
    properties: dict[str, Any] = {
        "Nats-Msg-Id": {**event_id, "description": "Equal to ce-id: the log stores an id once."},
        "ce-specversion": {"type": "string", "const": "1.0"},
        "ce-id": {**event_id, "description": "The event's id."},
        "ce-type": {"type": "string", "const": tag_of(event_type)},
        "ce-source": {**source, "description": "The service that published the event."},
        "ce-time": {"type": "string", "format": "date-time", "description": "The publisher's time."},
        "content-type": {"type": "string", "const": _JSON},
    }
    return {"type": "object", "properties": properties, "required": sorted(properties)}


def _readme() -> str:
    rows = [
        f"| `{tag_of(kind)}` | `{address_of(kind)}` | {PUBLISHERS[kind] or 'any service'} | {_first_line(kind)} |"
        for kind in EVENT_TYPES
    ]
    commands = [f"| `{command_subject('{tenant}', kind)}` | {_first_line(kind)} |" for kind in COMMAND_TYPES]
    commands.append(f"| `{exchange_subject('{tenant}', '{service}')}` | {_first_line(ExchangeToken)} |")
    return "\n".join(
        [
            "# The contracts of Scopefold",
            "",
            f"{MAKE_AGAIN}.",
            "",
            "`asyncapi.json` describes the bus (AsyncAPI 3.0.0), `schemas/` holds a JSON Schema (2020-12) for each",
            "payload, `examples/` a payload that is valid.",
            "",
            "| event | subject | publisher | says |",
            "|---|---|---|---|",
            *rows,
            "",
            "| command, by request and reply | says |",
            "|---|---|",
            *commands,
            "",
        ]
    )


def _first_line(kind: type[Struct]) -> str:
    return (kind.__doc__ or "").partition("\n")[0]


def _dump(value: Any) -> bytes:
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
