"""The pure packages take time, randomness and the outside world as arguments: they import nothing that has them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, named, shipped, tree

IMPURE = {
    "aiosqlite", "asyncio", "faststream", "httpx", "nats", "os", "random", "secrets", "socket", "sqlite3", "starlette",
    "subprocess", "time", "urllib.request", "uuid.uuid1", "uuid.uuid4", "scopefold.ledger", "scopefold.runtime",
}  # fmt: skip
CLOCKS_AND_DICE = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid1", "uuid.uuid4"}
INPUT_OUTPUT = {"open", "print", "input", "exec", "eval"}


def is_pure(path: Path) -> bool:
    """`__main__` is where a pure package meets the file system, so it is none of it."""
    parts = path.relative_to(ROOT).parts
    pure = parts[0] == "contracts" or parts[:2] in (("shared", "scopes"), ("shared", "consent")) or "core" in parts
    return pure and path.name != "__main__.py"


PURE = [path for path in shipped() if is_pure(path)]


def imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def impurities(module: ast.Module) -> list[str]:
    """What this module imports or calls that a pure one may not."""
    found = [name for name in imported(module) if any(name == bad or name.startswith(f"{bad}.") for bad in IMPURE)]
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in INPUT_OUTPUT or any(
                called == clock or called.endswith(f".{clock}") for clock in CLOCKS_AND_DICE
            ):
                found.append(f"{called}()")
    return found


def test_the_rule_sees_every_pure_package() -> None:
    folders = {named(path.parent) for path in PURE}
    assert {
        "contracts/src/scopefold/contracts",
        "shared/scopes/src/scopefold/scopes",
        "shared/consent/src/scopefold/consent",
    } <= folders


@pytest.mark.parametrize("path", PURE, ids=named)
def test_a_pure_module_has_no_clock_no_randomness_and_no_outside_world(path: Path) -> None:
    assert impurities(tree(path)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import nats.js.errors",
        "from random import choice",
        "from secrets import token_urlsafe",
        "from scopefold.ledger.read import read",
        "from urllib import request",
        "import datetime\nnow = datetime.datetime.now()",
        "def f():\n    import httpx",
        "import uuid\nid = uuid.uuid4()",
        "from uuid import uuid4",
        "open('x')",
    ],
)
def test_the_rule_finds_what_it_forbids(source: str) -> None:
    assert impurities(ast.parse(source)) != []
