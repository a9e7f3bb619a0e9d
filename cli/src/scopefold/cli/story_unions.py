"""The steps of the story about what an IdP is asked for: a look before a connector comes, and what it leaves behind."""

from typing import Final

import msgspec
from msgspec import Struct

from scopefold.cli.idp_scopes import AttributedScopes
from scopefold.cli.newcomer import IDP
from scopefold.cli.preview import Preview
from scopefold.cli.story_world import World, expect, listed

CONFLUENCE: Final = "identos.confluence-user"
CONFLUENCE_ADDS: Final = (
    "read:confluence-user",
    "read:confluence-space.summary",
    "read:confluence-content.all",
    "write:confluence-content",
)


class DryRun(Struct):
    """What a dry run of provisioning prints, as far as the story looks at it."""

    preview: Preview


def look_before(world: World) -> None:
    """What would it change to provision Confluence? Nothing is appended to find out."""
    before = world.last_seq()
    asked = ("connector", "provision", CONFLUENCE, "--idp", IDP, "--dry-run")
    found = msgspec.json.decode(world.command(*asked, "--json"), type=DryRun).preview
    expect("what would join the union", CONFLUENCE_ADDS, found.added)
    expect("who would have to consent again", sorted(world.users.values()), sorted(one.user for one in found.items))
    world.show(*asked)
    expect("the last event of the log", before, world.last_seq())


def prune_what_confluence_left(world: World) -> None:
    """Nobody wants Confluence's scopes any more: an operator looks, and prunes the union."""
    asked = ("idp", "scopes", IDP, "--json")
    items = msgspec.json.decode(world.command(*asked), type=AttributedScopes).items
    unwanted = tuple(one.scope for one in items if one.origin.unwanted_since is not None)
    expect("what nobody wants any more", CONFLUENCE_ADDS, unwanted)
    world.say(f"in the union of {IDP}, and wanted by nobody: {listed(unwanted)}")
    world.show("idp", "prune", IDP, "--yes")
    expect("what of it is left in the union", set(), set(unwanted) & set(world.idp().union))
