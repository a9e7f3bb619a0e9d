"""The project's own Python source, as the house rules read it."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MEMBERS: Final = ("contracts", "shared", "services", "cli")
BESIDE: Final = ("tests", "bench", "examples")


@cache
def shipped() -> tuple[Path, ...]:
    """Every module that ships."""
    found = (path for member in MEMBERS for path in (ROOT / member).rglob("src/**/*.py"))
    return tuple(sorted(path for path in found if "build" not in path.relative_to(ROOT).parts))


@cache
def everything() -> tuple[Path, ...]:
    """Every module, tests and benchmarks with it."""
    return (*shipped(), *sorted(path for folder in BESIDE for path in (ROOT / folder).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """The module, parsed.

    CPython 3.11 counts the depth of all threads' trees together (python/cpython, gh-106905), and so takes a thread
    that parses at the same moment for a broken tree: then it is parsed once more.
    """
    text = path.read_text(encoding="utf-8")
    try:
        return ast.parse(text, filename=str(path))
    except SystemError:
        return ast.parse(text, filename=str(path))


def named(path: Path) -> str:
    """The path as a person of the project says it."""
    return path.relative_to(ROOT).as_posix()
