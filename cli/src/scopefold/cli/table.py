"""What people read on a terminal: aligned tables and plain times."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The rows under their headers, each column as wide as its widest cell."""
    lines = [[header.upper() for header in headers], *rows]
    widths = [max(len(plain(line[column])) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "  ".join(plain(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print the rows, or a sentence that there are none."""
    click.echo(table(headers, rows) if rows else empty)


def instant(at: datetime) -> str:
    """A time as people read it: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def plain(cell: str) -> str:
    """The cell without control characters, so that no value from a log can move the cursor of a terminal."""
    return "".join(char if char.isprintable() else "?" for char in cell)
