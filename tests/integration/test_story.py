"""The story of Scopefold comes as told, on really started servers, through real HTTP."""

from pathlib import Path

from scopefold.cli.stack import Plan, running
from scopefold.cli.story import STEPS, World


def test_the_story_comes_as_told(tmp_path: Path) -> None:
    plan = Plan(data=tmp_path / "data", sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    said: list[str] = []
    with running(plan) as stack:
        world = World(stack.endpoints, stack.rebuild_auth, said.append)
        for step in STEPS:
            step.play(world)
    assert 8 == len(STEPS)
    assert "both worklists are the same, byte for byte" == said[-1]
    refused = [line for line in (plan.data / "nats" / "nats.log").read_text().splitlines() if "Violation" in line]
    assert [] == refused, "a service lacks a right that it needs"
