"""Every query of docs/analysts.md is asked, from the page itself; every cell of the notebook is run."""

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from scopefold.cli.query import Database
from scopefold.contracts.columns import SCHEMA_VERSION, row_of
from scopefold.contracts.recorded import Quarantined, Recorded
from scopefold.ledger.follow import GENESIS
from scopefold.ledger.segment import Part, Seal, sha256, stem
from scopefold.ledger.segment_file import SegmentWriter, Users
from scopefold.ledger.segment_store import Folder
from tests.cli.test_sql import asked, database
from tests.support.logs import (
    BASE,
    START,
    deprovisioned,
    failed,
    insufficient,
    log_of,
    logged_in,
    provisioned,
    registered,
    stored,
)

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/analysts.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^([^\n]+\?)\n\n```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ALICE, BOB = "u_alice001", "u_bob00001"
LOG: list[Recorded | Quarantined] = [
    *log_of(
        registered(),
        logged_in(ALICE),
        stored(ALICE, BASE),
        logged_in(BOB),
        stored(BOB, BASE),
        provisioned("jira-user", ("read:me", "read:jira-work")),
        insufficient(ALICE, "read:me", generation=1),
        failed("attempt-001", BASE),
        stored(ALICE, (*BASE, "read:me", "read:jira-work"), generation=2, cause="step-up"),
        provisioned("wiki", ("read:wiki",)),
        provisioned("search", ("read:search",)),
        deprovisioned("search"),
    ),
    Quarantined(13, START + timedelta(hours=5), "ledger.default.idp.x.y", "undecodable: no"),
]


@pytest.fixture(scope="module")
def loaded() -> Iterator[Database]:
    with database(LOG) as made:
        yield made


def test_the_page_asks_a_dozen_questions() -> None:
    assert len(QUESTIONS) >= 12
    assert len(QUESTIONS) == PAGE.count("```sql")


EXPECTED: dict[str, list[dict[str, Any]]] = {
    "How many must, at each IdP, and for each reason?": [{"idp": "atlassian", "reason": "never-asked", "users": 2}],
    "Which scopes are missing most?": [
        {"idp": "atlassian", "scope": "read:wiki", "users": 2},
        {"idp": "atlassian", "scope": "read:jira-work", "users": 1},
        {"idp": "atlassian", "scope": "read:me", "users": 1},
    ],
    "Because of which connector do users have to consent again?": [
        {"connector": "identos.wiki", "users": 2},
        {"connector": "identos.jira-user", "users": 1},
    ],
    "How many users stood on the worklist over time?": [
        {"seq": 6, "users": 2},
        {"seq": 10, "users": 2},
        {"seq": 11, "users": 2},
        {"seq": 12, "users": 2},
        {"seq": 13, "users": 2},
    ],
    "Who has left the worklist since an event, and who has come?": [],
    "What went wrong at the IdPs, how often, and when last?": [
        {
            "idp": "atlassian",
            "stage": "authorize",
            "error": "invalid_scope",
            "times": 1,
            "last": START + timedelta(seconds=8),
        }
    ],
    "Which services met tokens that lacked something, and what?": [
        {
            "publisher": "jira-gateway",
            "resource_type": "urn:connector:identos:jira-user",
            "missing": '["read:me"]',
            "users": 1,
        }
    ],
    "How long, in seconds, did users take to consent again after a connector came?": [
        {"connector": "identos.jira-user", "user": ALICE, "took": 3}
    ],
    "Whose tokens die next if nobody renews them?": [],
    "Is there anything in the log that is no event?": [
        {
            "seq": 13,
            "logged_at": START + timedelta(hours=5),
            "subject": "ledger.default.idp.x.y",
            "reason": "undecodable: no",
        }
    ],
}
"""What the queries whose answer is short have to say; of the others, that they say something."""


@pytest.mark.parametrize(("question", "sql"), QUESTIONS, ids=[question for question, _ in QUESTIONS])
def test_each_question_is_answered(loaded: Database, question: str, sql: str) -> None:
    found = asked(loaded, sql)
    if question in EXPECTED:
        assert EXPECTED[question] == found
    else:
        assert found


def test_every_expected_answer_is_to_a_question_of_the_page() -> None:
    assert set(EXPECTED) <= {question for question, _ in QUESTIONS}


def test_the_tables_have_the_columns_that_the_page_tells(loaded: Database) -> None:
    for view in ("events", "grants", "unions", "worklist"):
        (told,) = re.findall(rf"^\| `{view}` \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE)
        columns = [row["column_name"] for row in asked(loaded, f"DESCRIBE {view}")]
        assert columns == re.findall(r"`(\w+)`", told)


def sealed(folder: Path) -> None:
    """One segment of the log above, made without a bus."""
    writer = SegmentWriter(Users())
    writer.add([row_of(one, "default") for one in LOG])
    written = writer.close()
    contents = (written.facts, written.ids, written.users)
    name = stem(1, len(LOG))
    parts = [
        Part(f"{name}.{kind}.parquet", len(it), sha256(it))
        for kind, it in zip(("facts", "ids", "users"), contents, strict=True)
    ]
    seal = Seal(
        schema_version=SCHEMA_VERSION,
        tenant="default",
        created=START,
        first_seq=1,
        last_seq=len(LOG),
        first_at=LOG[0].at,
        last_at=LOG[-1].at,
        rows=len(LOG),
        hash_before=GENESIS,
        hash_after=GENESIS,
        users_before=0,
        users=2,
        types=tuple(sorted(writer.types)),
        previous="",
        facts=parts[0],
        ids=parts[1],
        new_users=parts[2],
    )
    for part, content in zip(parts, contents, strict=True):
        asyncio.run(Folder(folder).put(part.name, content))
    asyncio.run(Folder(folder).put(seal.name, seal.content))


def test_the_notebook_runs_and_plots_the_worklist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells in their order, with `await` at the top as notebooks allow it, drawn by no screen."""
    sealed(tmp_path / "segments")
    monkeypatch.setenv("SEGMENTS", str(tmp_path / "segments"))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path))
    notebook = json.loads((ROOT / "examples/notebook/worklist_over_time.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {}

    async def run() -> None:
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                assert ([], None) == (cell["outputs"], cell["execution_count"])
                source = compile("".join(cell["source"]), cell["id"], "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                done = eval(source, names)
                if inspect.isawaitable(done):
                    await done

    asyncio.run(run())
    assert 2 == names["users"][-1]
    assert {"identos.wiki", "identos.jira-user"} == {name for name, line in names["by_connector"].items() if line[-1]}
    drawn = [line.get_label() for line in names["axes"].get_lines()]
    assert "users who must consent again" in drawn
    names["plt"].close("all")
