"""The steps of the story that read the log: how a grant came to be what it is, and what changed between two moments."""

import msgspec

from scopefold.cli.newcomer import IDP
from scopefold.cli.story_world import World, expect
from scopefold.consent.difference import Diff
from scopefold.consent.story import Explained


def explain_alices_grant(world: World) -> None:
    """The log tells how alice's grant came to be what it is, event by event, in plain words."""
    asked = ("log", "explain", world.users["alice"], IDP)
    found = msgspec.json.decode(world.command(*asked, "--json"), type=Explained)
    expect("what alice's grant is worth now", "covered", found.present.status)
    told = [line.event for line in found.lines if line.event.startswith("token-")]
    expect("what happened to her token", ["token-stored", "token-insufficient", "token-stored"], told)
    world.show(*asked)


def tell_what_changed(world: World) -> None:
    """What changed since step 4: who left the worklist and why, and what Atlassian is asked for."""
    assert world.moment is not None, "step 4 comes before"
    asked = ("log", "diff", world.moment.isoformat())
    found = msgspec.json.decode(world.command(*asked, "--json"), type=Diff)
    expect("how many were and are on the worklist", (2, 0), (found.totals.before, found.totals.after))
    expect("who left it", sorted(world.users.values()), sorted(one.was.user for one in found.left))
    world.show(*asked)
