"""`just attacks`: print the table of attacks: id, what is asked, the safe answer, and the tests that show it.

With `--json`, one object a line.
"""

import json
import sys

from tests.attacks.table import Row, rows, shown_by


def lines(*, as_json: bool) -> list[str]:
    """The table."""
    shown = shown_by()
    if as_json:
        return [json.dumps(as_object(row, shown.get(row.id, []))) for row in rows()]
    return [line for row in rows() for line in as_text(row, shown.get(row.id, []))]


def as_object(row: Row, tests: list[str]) -> dict[str, object]:
    """A row for programs."""
    return {"id": row.id, "asked": row.asked, "answer": row.answer, "status": row.status, "tests": tests}


def as_text(row: Row, tests: list[str]) -> list[str]:
    """A row for people."""
    status = "" if row.status == "tested" else f"  ({row.status})"
    return [f"{row.id}  {row.asked}", f"     -> {row.answer}{status}", *(f"       {test}" for test in tests)]


if __name__ == "__main__":
    for line in lines(as_json="--json" in sys.argv[1:]):
        print(line)
