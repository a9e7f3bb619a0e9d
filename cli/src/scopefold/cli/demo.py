"""`scopefold demo`: the story, played on servers of its own."""

import signal
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scopefold.cli.extra import server_half
from scopefold.cli.failure import Failure, refused
from scopefold.cli.sealed import PLACE

if TYPE_CHECKING:
    from scopefold.cli.story_world import World


@click.command("demo")
@click.option("--segments", "place", metavar=PLACE, help="Seal the story's log there at its end, for analysts.")
def demo(place: str | None) -> None:
    """Play the story of Scopefold: really started servers, a stand-in Atlassian, two people, a minute at most."""
    # Authlib announces a change of its own while it is imported, which is no news to who watches the story.
    with server_half(), warnings.catch_warnings(record=True):
        from scopefold.cli.stack import Plan, running
        from scopefold.cli.story_world import World

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="scopefold-demo-") as folder:
        plan = Plan(
            data=Path(folder) / "data", sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0
        )
        click.echo("Starting a bus, auth, the provisioner and a stand-in Atlassian ...")
        with running(plan) as stack:
            click.echo(f"They are up after {time.monotonic() - began:.1f} s.")
            world = World(stack.endpoints, stack.rebuild_auth, lambda text: click.echo(f"   {text}".rstrip()))
            steps = _play(world)
            if place is not None:
                _seal(world, place)
    click.echo(f"\nEverything is stopped again, after {time.monotonic() - began:.1f} s.")
    click.echo(f"story: {steps}/{steps} steps as told")


def _seal(world: "World", place: str) -> None:
    """What an analyst needs, and how to ask as the story did. Raises `Failure`."""
    from scopefold.cli.story_world import NotAsTold

    assert world.moment is not None, "the story tells when step 4 was"
    click.echo("\nThe log is sealed, and whoever has the segments asks it without any of these servers:")
    try:
        world.show("log", "seal", "--to", place)
    except NotAsTold as error:
        raise refused("The story's log cannot be sealed", str(error)) from None
    click.echo(f"   $ scopefold reconsent list --at {world.moment.isoformat()} --segments {place}")


def _play(world: "World") -> int:
    """Play every step; how many there are. Raises `Failure` at the first that is not as told."""
    from scopefold.cli.story import STEPS
    from scopefold.cli.story_world import NotAsTold

    for number, step in enumerate(STEPS, start=1):
        click.echo(f"\n{number}. {step.title}")
        try:
            step.play(world)
        except (NotAsTold, Failure) as error:
            click.echo(f"   NOT AS TOLD: {error}")
            raise refused(f"story: {number - 1}/{len(STEPS)} steps as told", f"step {number}: {error}") from None
    return len(STEPS)
