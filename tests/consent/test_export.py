"""Cells that spreadsheets take for what they are."""

import csv
import io
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scopefold.consent.cells import FORMULA
from scopefold.consent.export import COLUMNS, Line, cell, csv_of

LINE = Line(
    user="u_alice001",
    idp="atlassian",
    scope="read:me",
    connector="identos.jira-user",
    version="1.0.0",
    resource_type="urn:connector:identos:jira-user",
    needed_since_event=1,
    needed_since=datetime(2026, 1, 1, tzinfo=UTC),
    since_event=2,
    since=datetime(2026, 1, 1, tzinfo=UTC),
    why="never-asked",
    next_step="next-login",
    known_by="echoed",
    known_since_event=2,
    reported_by=None,
    cleared=None,
    dies_at=None,
    dies_by=None,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("read:me", "read:me"),
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-dashed-user-id", "'-dashed-user-id"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("  =1", "'  =1"),
        ("\t=1", "'?=1"),
        ("\r=1", "'?=1"),
        ("\uff1d1", "'\uff1d1"),
        ('=HYPERLINK("https://evil.example","x")', '\'=HYPERLINK("https://evil.example","x")'),
        ("\x1b[2J", "?[2J"),
        (-1, "-1"),
        (None, ""),
    ],
)
def test_no_cell_begins_as_a_formula(value: str | int | None, expected: str) -> None:
    assert expected == cell(value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_stands_in_a_cell_comes_back_as_one_cell_that_is_no_formula(scope: str, connector: str) -> None:
    text = csv_of([replace(LINE, scope=scope, connector=connector)]).decode()
    (row,) = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert len(COLUMNS) == len(row)
    for found in row:
        assert found.isprintable()
        assert not found.lstrip(" ").startswith(FORMULA)
