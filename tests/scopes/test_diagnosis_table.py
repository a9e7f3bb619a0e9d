"""What was seen leads to one diagnosis. `diagnoses.txt` has a row for every known error, with its source."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from scopefold.scopes.diagnosis import Facts, Failure, diagnose
from scopefold.scopes.profile import PLAIN
from scopefold.scopes.shipped import general_errors, profile_named, profiles

TABLE = Path(__file__).parent / "diagnoses.txt"
NEVER_FIRST = {"atlassian.mcp-client", "atlassian.mixed-families"}
"""Rare causes of what others cause mostly: told as further ones."""


class Row(Struct, frozen=True):
    """One row of the table."""

    number: int
    profile: str
    failure: Failure
    diagnosis: str
    source: str

    def __str__(self) -> str:
        return f"{self.number}-{self.diagnosis}"


def rows() -> Iterator[Row]:
    for number, line in enumerate(TABLE.read_text(encoding="utf-8").splitlines(), start=1):
        if line and not line.startswith("#"):
            profile, where, error, text, status, diagnosis, source = (
                "" if cell == "-" else cell for cell in line.split(" ; ")
            )
            told = {"where": where, "error": error, "text": text, "status": int(status) if status else None}
            yield Row(number, profile, msgspec.convert(told, Failure), diagnosis, source)


@pytest.mark.parametrize("row", list(rows()), ids=str)
def test_what_was_seen_leads_to_this_diagnosis(row: Row) -> None:
    profile = PLAIN if row.profile == "plain" else profile_named(row.profile.removesuffix("+"))
    params = profile.authorize_params if row.profile.endswith("+") else {}
    assert diagnose(profile, row.failure, Facts("acme", authorize_params=params)).id == row.diagnosis, row.source


def test_every_known_error_is_in_the_table() -> None:
    known = {
        error.id for errors in (general_errors(), *(one.errors for one in profiles().values())) for error in errors
    }
    assert known - {row.diagnosis for row in rows()} == NEVER_FIRST


def test_every_row_of_the_seeds_is_in_the_table() -> None:
    told = " ".join(row.source for row in rows())
    for seed, count in (("seed 000", 5), ("seed 003", 4)):
        assert [number for number in range(1, count + 1) if f"{seed}, row {number}" not in told] == []
