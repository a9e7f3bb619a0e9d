"""Does a grant cover what is required, at each provider? A table a provider in `tables/`, with the source of every row.

A row is `granted ; proved ; required ; answer ; source`. Granted is what the token answer tells, byte for byte as the
provider sends it: a text, `""` for an empty one, `-` for none, `asked ...` for none after asking for these, or the
answer itself in braces. Proved: `i` the identity was looked up, `r` a refresh token came. Required: a list of scopes,
or several joined with ` or `.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from scopefold.scopes.coverage import AnyOf, Coverage, Covered, Grant, Missing, Unknown, canonical_grant, covers
from scopefold.scopes.grammar import told_scopes
from scopefold.scopes.profile import Profile
from scopefold.scopes.shipped import profile_named, profiles
from scopefold.scopes.update import taken_as_told

TABLES = Path(__file__).parent / "tables"
MIN_ROWS = 25
PROOFS = {"i": "identity", "r": "refresh_token"}


class Line(Struct, frozen=True):
    """One row of a table."""

    profile: str
    number: int
    granted: str
    proved: str
    required: str
    answer: str
    source: str

    def __str__(self) -> str:
        return f"{self.profile}-{self.number}"


def read_table(path: Path) -> tuple[dict[str, str], list[Line]]:
    """The sources by their letters, and the rows."""
    sources: dict[str, str] = {}
    rows = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if " ; " in text:
            granted, proved, required, answer, source = text.replace("; ;", ";  ;").split(" ; ")
            rows.append(Line(path.stem, number, granted, proved, required.strip(), answer, source))
        elif " = " in text:
            letter, _, source = text.partition(" = ")
            sources[letter] = source
    return sources, rows


def every_row() -> Iterator[Line]:
    for path in sorted(TABLES.glob("*.txt")):
        yield from read_table(path)[1]


def grant_of(profile: Profile, row: Line) -> Grant:
    """The grant, read as a login reads it."""
    answer: dict[str, Any] = {}
    requested: tuple[str, ...] = ()
    if row.granted.startswith("asked"):
        requested = tuple(row.granted.split()[1:])
    elif row.granted.startswith("{"):
        answer = json.loads(row.granted)
    elif row.granted != "-":
        answer = {profile.scope_lists[0].members[0]: "" if row.granted == '""' else row.granted}
    scopes = taken_as_told(profile, told_scopes(profile, answer), requested)
    return Grant(scopes, tuple(PROOFS[letter] for letter in row.proved if letter in PROOFS))


def required_of(row: Line) -> tuple[str, ...] | AnyOf:
    clauses = tuple(tuple(clause.split()) for clause in row.required.split(" or "))
    return AnyOf(clauses) if len(clauses) > 1 else clauses[0]


def answer_of(row: Line) -> Coverage:
    word, *scopes = row.answer.split()
    if word == "missing":
        return Missing(tuple(scopes))
    return Covered() if word == "covered" else Unknown()


@pytest.mark.parametrize("row", list(every_row()), ids=str)
def test_coverage(row: Line) -> None:
    profile = profile_named(row.profile)
    grant = grant_of(profile, row)
    why = read_table(TABLES / f"{row.profile}.txt")[0][row.source]
    assert answer_of(row) == covers(profile, grant, required_of(row)), why
    assert answer_of(row) == covers(profile, canonical_grant(profile, grant), required_of(row)), f"canonical; {why}"


@pytest.mark.parametrize("profile", sorted(profiles()))
def test_every_provider_has_a_table_of_25_rows_and_every_source_is_told(profile: str) -> None:
    """A cloud of a provider that has a table is tested by itself (`test_clouds`)."""
    path = TABLES / f"{profile}.txt"
    if not path.exists():
        assert (TABLES / f"{profile.partition('-')[0]}.txt").exists()
        return
    sources, rows = read_table(path)
    assert len(rows) >= MIN_ROWS
    assert {row.source for row in rows} <= sources.keys()
    assert len({(row.granted, row.proved, row.required) for row in rows}) == len(rows), "a row stands twice"
    assert {"covered", "missing"} <= {row.answer.split()[0] for row in rows}


CLOUDS = [
    ("microsoft", "graph.microsoft.com", "outlook.office.com", "login.microsoftonline.com"),
    ("microsoft-gcc", "graph.microsoft.com", "outlook.office.com", "login.microsoftonline.com"),
    ("microsoft-gcc-high", "graph.microsoft.us", "outlook.office365.us", "login.microsoftonline.us"),
    ("microsoft-dod", "dod-graph.microsoft.us", "outlook.office365.us", "login.microsoftonline.us"),
    ("microsoft-china", "microsoftgraph.chinacloudapi.cn", "partner.outlook.cn", "login.partner.microsoftonline.cn"),
]


@pytest.mark.parametrize(("name", "graph", "outlook", "login"), CLOUDS)
def test_clouds(name: str, graph: str, outlook: str, login: str) -> None:
    """microsoft-graph-docs-contrib concepts/deployments: each cloud has hosts of its own."""
    profile = profile_named(name)
    assert profile.endpoints.authorize == f"https://{login}/{{tenant}}/oauth2/v2.0/authorize"
    held = Grant(("Mail.ReadWrite", f"https://{outlook}/IMAP.AccessAsUser.All"), ("refresh_token",))
    own = (f"https://{graph}/Mail.Read", f"https://{outlook}/imap.accessasuser.all", f"https://{graph}/offline_access")
    assert covers(profile, held, own) == Covered()
    assert covers(profile, held, ("Mail.Read", "offline_access")) == Covered()
    for other, elsewhere, mailbox, _ in CLOUDS:
        if elsewhere != graph:
            assert covers(profile, held, [f"https://{elsewhere}/Mail.Read"]) == Missing(
                (f"https://{elsewhere}/Mail.Read",)
            ), other
        if mailbox != outlook:
            assert isinstance(covers(profile, held, [f"https://{mailbox}/IMAP.AccessAsUser.All"]), Missing), other
