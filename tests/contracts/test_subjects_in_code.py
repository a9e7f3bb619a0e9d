"""The contracts alone say what the subjects are; what the services use of the bus is in the AsyncAPI document."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faststream.nats import NatsBroker

from scopefold.contracts.documents import asyncapi
from tests.house.source import ROOT, named, shipped, tree

STREAMS = [path for path in shipped() if path.name == "stream.py"]


def subjects_spelled_out(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node.value.startswith(("ledger.", "command.", "exchange."))
        ):
            yield f"{node.lineno}: {node.value}"


def wiring_calls(module: ast.Module) -> Iterator[str]:
    """Where FastStream is told what to subscribe to or to publish."""
    for node in ast.walk(module):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("subscriber", "publisher")
        ):
            yield f"{node.lineno}: {ast.unparse(node.func)}"


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :])


def broker_of(path: Path) -> NatsBroker:
    """A broker that never connects, with everything that this service subscribes to.

    `subscribe` takes the broker, or gives a function that does. What its handlers work with is not there: nothing
    calls them.
    """
    subscribe = importlib.import_module(module_name(path)).subscribe
    broker = NatsBroker()
    known: dict[str, Any] = {"broker": broker, "tenant": "default", "exchanger": broker_of}
    added = subscribe(**{name: known.get(name) for name in inspect.signature(subscribe).parameters})
    if callable(added):
        added(broker)
    return broker


def subjects_used(broker: NatsBroker) -> list[str]:
    """What the broker listens to and publishes on. FastStream's types name only what all its brokers share."""
    endpoints: list[Any] = [*broker.subscribers, *broker.publishers]
    return [str(endpoint.subject.template) for endpoint in endpoints]


def is_documented(subject: str) -> bool:
    """Whether the subject is a channel of the document, or a filter that some channel meets."""
    channels = asyncapi()["channels"].values()
    return any(meets(channel["address"].split("."), subject.split(".")) for channel in channels if channel["address"])


def meets(address: list[str], subject: list[str]) -> bool:
    for place, token in enumerate(subject):
        if token == ">":
            return len(address) > place
        if place == len(address) or not (token in ("*", address[place]) or (address[place].startswith("{") and token)):
            return False
    return len(address) == len(subject)


def test_no_subject_is_spelled_out_outside_the_contracts() -> None:
    outside = [path for path in shipped() if not path.is_relative_to(ROOT / "contracts")]
    found = [f"{named(path)}:{subject}" for path in outside for subject in subjects_spelled_out(tree(path))]
    assert found == []


@pytest.mark.parametrize("source", ['x = "ledger.default.>"', 'y = f"command.{tenant}.provision"'])
def test_the_search_finds_a_spelled_out_subject(source: str) -> None:
    assert len(list(subjects_spelled_out(ast.parse(source)))) == 1


def test_only_stream_modules_wire_faststream_so_that_none_escapes_the_next_test() -> None:
    found = [f"{named(path)}:{call}" for path in shipped() if path not in STREAMS for call in wiring_calls(tree(path))]
    assert found == []


@pytest.mark.parametrize("path", STREAMS, ids=module_name)
def test_every_subject_that_a_service_uses_is_in_the_asyncapi_document(path: Path) -> None:
    used = subjects_used(broker_of(path))
    assert len(list(wiring_calls(tree(path)))) == len(used), "a subscriber is wired outside subscribe()"
    undocumented = [subject for subject in used if not is_documented(subject)]
    assert undocumented == []


def test_at_least_the_provisioner_is_looked_at() -> None:
    assert "scopefold.provisioner.stream" in [module_name(path) for path in STREAMS]


@pytest.mark.parametrize(
    ("subject", "documented"),
    [
        ("command.default.provision-connector", True),
        ("ledger.default.user.17.atlassian.token-stored", True),
        ("ledger.default.user.17.token-stored", False),
        ("ledger.default.user.17.atlassian.token-stored.more", False),
        ("ledger.default.>", True),
        ("ledger.*.user.17.*.token-stored", True),
        ("ledger.default.group.>", False),
        ("command.default.remove-everything", False),
        ("exchange.default.jira-gateway", True),
        ("exchange.default", False),
        ("command.default.provision-connector.>", False),
        ("", False),
    ],
)
def test_the_look_up_in_the_document_tells_subjects_apart(subject: str, documented: bool) -> None:
    assert documented is is_documented(subject)
