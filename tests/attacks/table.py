"""The table of attacks: `rows.txt` as data, and which tests show which row, read from the tests' source."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

TESTS: Final = Path(__file__).parent.parent
TABLE: Final = Path(__file__).parent / "rows.txt"
_ID: Final = re.compile(r"(?<![A-Za-z0-9])[A-J][0-9]{2}(?![A-Za-z0-9])")
_CASE: Final = re.compile(r"(?P<id>[A-J][0-9]{2})(?![A-Za-z0-9])")


class Row(Struct, frozen=True):
    """One attack. `status` is `tested`, or begins with `in part: ` or `not yet: `."""

    id: str
    asked: str
    answer: str
    status: str

    @property
    def shown(self) -> bool:
        """Are there tests?"""
        return not self.status.startswith("not yet: ")


def rows() -> list[Row]:
    """The table, in its order."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return [Row(*line.split(" ; ")) for line in lines if line and not line.startswith("#")]


def ids_in(name: str) -> set[str]:
    """The ids in the name of a test: `test_A01_A02_nobody_…`."""
    return set(_ID.findall(name.replace("_", " ")))


def shown_by() -> Mapping[str, list[str]]:
    """Each id with the tests that carry it in their name, as pytest names them."""
    found: dict[str, list[str]] = defaultdict(list)
    for path, module in _modules():
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for one in ids_in(node.name):
                    found[one].append(f"{path.relative_to(TESTS.parent)}::{node.name}")
    return {one: sorted(found[one]) for one in sorted(found)}


def ids_of_cases() -> Mapping[str, set[str]]:
    """Each id that a case in a table of a test begins with, and the files."""
    found: dict[str, set[str]] = defaultdict(set)
    for path, module in _modules():
        for node in ast.walk(module):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if case := _CASE.match(text):
                found[case["id"]].add(path.name)
    return found


def _modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))
