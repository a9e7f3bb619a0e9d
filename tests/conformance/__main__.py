"""`just conformance`: run the twins and print plan, module, result; with `--json`, one object a line.

The results are `passed`, `noted` (passed, but the official suite would warn, or the twin differs from its module; the
note says how), `cannot` (a strict expected failure, with its reason) and `failed`. Exit code 0 means that none failed.
"""

import contextlib
import io
import json
import sys
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest


class Result(NamedTuple):
    """One row of the table."""

    plan: str
    module: str
    result: str
    note: str


class Results:
    """A plugin of pytest that keeps each twin's result under its module's name."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Result] = {}

    @property
    def rows(self) -> list[Result]:
        """Plan by plan, in the order of the run."""
        return sorted(self._rows.values(), key=lambda one: one.plan)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Function) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        plan = getattr(item.module, "PLAN", None)
        if plan is not None and (report.when == "call" or not report.passed):
            module = getattr(item.module, "PREFIX", "") + module_of(item.name)
            self._rows[plan, module] = Result(plan, module, *verdict(report))
        return report


def module_of(test: str) -> str:
    """What the twin of this name is of, but for its prefix. Two underscores stand for one of the name's own."""
    return "_".join(part.replace("_", "-") for part in test.removeprefix("test_").split("__"))


def verdict(report: pytest.TestReport) -> tuple[str, str]:
    """The result and what is to be said of it."""
    note = "; ".join(str(value) for name, value in report.user_properties if name == "note")
    if report.skipped:
        return "cannot", str(getattr(report, "wasxfail", "skipped"))
    if report.failed:
        return "failed", note
    return ("noted" if note else "passed"), note


def lines(rows: list[Result], *, as_json: bool) -> list[str]:
    """The table, or its rows as JSON."""
    if as_json:
        return [json.dumps(one._asdict()) for one in rows]
    plan = max((len(one.plan) for one in rows), default=0)
    module = max((len(one.module) for one in rows), default=0)
    return [
        f"{one.plan:{plan}}  {one.module:{module}}  {one.result}{f': {one.note}' if one.note else ''}" for one in rows
    ]


def main(arguments: list[str]) -> int:
    """Run the folder. What pytest says is shown only where something failed, on standard error."""
    rest, said, results = [one for one in arguments if one != "--json"], io.StringIO(), Results()
    with contextlib.redirect_stdout(said):
        code = pytest.main([str(Path(__file__).parent), *rest], plugins=[results])
    for line in lines(results.rows, as_json="--json" in arguments):
        print(line)
    if code:
        print(said.getvalue(), file=sys.stderr)
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
