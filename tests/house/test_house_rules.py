"""The rules of this house that no linter knows."""

import ast
import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, everything, named, shipped, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 70
NAMES_WITHOUT_A_SUBJECT = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}
OURS_THOUGH_HIDDEN = {".ci", ".github", ".gitignore", ".pre-commit-config.yaml"}
FROM_TOOLS = {"__pycache__", "node_modules", "build", "dist"}
PLACES_OF_ONE_MACHINE = re.compile(r"(?<![\w.])/(?:home|Users|root|work|workspaces?)/[\w.-]")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def our_texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the project, without what tools put beside it."""
    tops = [top for top in ROOT.iterdir() if not top.name.startswith(".") or top.name in OURS_THOUGH_HIDDEN]
    for top in tops:
        for path in [top] if top.is_file() else top.rglob("*"):
            if path.is_file() and not FROM_TOOLS & set(path.relative_to(ROOT).parts):
                with contextlib.suppress(UnicodeDecodeError):  # a picture, say
                    yield path, path.read_text(encoding="utf-8")


def test_the_rules_see_the_source() -> None:
    assert len(shipped()) > 20
    assert Path(__file__) in everything()


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in everything()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_one_screen() -> None:
    long = [
        f"{named(path)}:{function.lineno} {function.name}"
        for path in everything()
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_every_module_is_named_after_its_subject() -> None:
    assert [
        named(path) for path in everything() if NAMES_WITHOUT_A_SUBJECT & {path.stem, *path.relative_to(ROOT).parts}
    ] == []


def naked_sleeps(module: ast.Module) -> Iterator[int]:
    """Lines that sleep other than between two looks at a condition, in a function that has a deadline."""
    calls = {node for node in ast.walk(module) if isinstance(node, ast.Call) and is_sleep(node)}
    for function in ast.walk(module):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and "deadline" in ast.unparse(function):
            for loop in ast.walk(function):
                if isinstance(loop, ast.While):
                    calls -= set(ast.walk(loop))
    yield from sorted(call.lineno for call in calls)


def is_sleep(call: ast.Call) -> bool:
    """Sleeping for nothing only lets others run."""
    yields = bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
    return ast.unparse(call.func) in ("time.sleep", "asyncio.sleep", "anyio.sleep", "sleep") and not yields


def test_no_test_waits_by_sleeping() -> None:
    """One polls a condition, with a deadline."""
    tests = [path for path in everything() if path.is_relative_to(ROOT / "tests")]
    assert [f"{named(path)}:{line}" for path in tests for line in naked_sleeps(tree(path))] == []


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import time\ntime.sleep(1)", [2]),
        ("def f():\n    time.sleep(1)", [2]),
        ("def f():\n    while not done():\n        time.sleep(1)", [3]),
        ("def f():\n    deadline = 1\n    sleep(1)", [3]),
        ("async def f():\n    await asyncio.sleep(0.1)", [2]),
        ("async def f():\n    await asyncio.sleep(0)", []),
        ("def f():\n    deadline = 1\n    while clock() < deadline:\n        time.sleep(1)", []),
    ],
)
def test_the_search_for_sleeping_tells_it_from_polling(source: str, lines: list[int]) -> None:
    assert lines == list(naked_sleeps(ast.parse(source)))


def test_no_cancellation_is_lost_in_a_wait() -> None:
    """Python 3.11's `asyncio.wait_for` loses one that comes as the wait ends; `asyncio.timeout` does not."""
    assert [] == [
        f"{named(path)}:{node.lineno}"
        for path in shipped()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "asyncio.wait_for"
    ]


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [
        f"{named(path)}: {match.group()}"
        for path, text in our_texts()
        for match in PLACES_OF_ONE_MACHINE.finditer(text)
    ]
    assert found == []


def test_lock_files_of_node_record_no_download_addresses() -> None:
    locks = [path for path in ROOT.rglob("package-lock.json") if not FROM_TOOLS & set(path.relative_to(ROOT).parts)]
    assert len(locks) > 1
    for path in locks:
        packages = json.loads(path.read_text())["packages"]
        assert [] == [name for name, package in packages.items() if "resolved" in package], named(path)
        assert all("integrity" in package for name, package in packages.items() if name), named(path)


def test_every_package_says_what_it_owns() -> None:
    for path in shipped():
        if path.name == "__init__.py":
            said = ast.get_docstring(tree(path)) or ""
            assert said.endswith("."), f"{named(path)} must say in its docstring what the package owns"


def test_every_module_says_what_it_is_for() -> None:
    assert [
        named(path) for path in everything() if path.name != "__init__.py" and not ast.get_docstring(tree(path))
    ] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /" + "home/someone/notes", True),
        ("see /" + "work/main/notes", True),
        ("https://example.org/home/page", False),
        ("GET /v1/work/", False),
        ("a/work/b", False),
    ],
)
def test_the_search_for_places_finds_them(text: str, found: bool) -> None:
    assert found is bool(PLACES_OF_ONE_MACHINE.search(text))
