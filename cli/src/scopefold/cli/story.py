"""The story of Scopefold, told against real servers: what `scopefold demo` plays and the tests assert.

Each step is a function over the `World`; it does what its title says, checks that it came as told, and says what it
saw. Raises `NotAsTold` otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from scopefold.cli import client, connector
from scopefold.cli.answers import ManagedResources, Worklist
from scopefold.cli.idp import BASE_SCOPES
from scopefold.cli.newcomer import IDP, JIRA, sandbox_atlassian
from scopefold.cli.reconsent import connectors_of, scopes_of
from scopefold.cli.relying_party import APP
from scopefold.cli.story_gateway import call_through_a_gateway
from scopefold.cli.story_log import explain_alices_grant, tell_what_changed
from scopefold.cli.story_world import World, expect, expect_soon, listed, log_in, report
from scopefold.contracts.events import TokenInsufficient

GATEWAY: Final = "confluence-gateway"
CONFLUENCE: Final = "identos.confluence-user"
JIRA_RESOURCE: Final = "urn:connector:identos:jira-user"
CONFLUENCE_RESOURCE: Final = "urn:connector:identos:confluence-user"
WITH_JIRA: Final = (*BASE_SCOPES, "read:me", "read:jira-user", "read:jira-work", "write:jira-work", "offline_access")
CONFLUENCE_ADDS: Final = (
    "read:confluence-user",
    "read:confluence-space.summary",
    "read:confluence-content.all",
    "write:confluence-content",
)
WITH_CONFLUENCE: Final = (*WITH_JIRA, *CONFLUENCE_ADDS)


def register_atlassian(world: World) -> None:
    """IdP atlassian is registered: what it is asked for, and what it is not."""
    world.auth.call("POST", "/v1/idps", body=sandbox_atlassian(world.sandbox))
    expect_soon("the scopes of atlassian", BASE_SCOPES, lambda: world.idp().union)
    world.say(f"scopes of {IDP}: {listed(world.idp().union)}")
    requested = world.idp().requested
    expect("what is requested of Atlassian, which refuses openid, email and profile", ("read:me",), requested)
    world.say(f"requested of Atlassian, which knows none of these: {listed(requested)}")


def provision_jira(world: World) -> None:
    """identos.jira-user is provisioned: the union grows, and the resource type is routed."""
    expect("the answer to provisioning Jira", 201, world.provision(JIRA))
    expect_soon("the union of atlassian", WITH_JIRA, lambda: world.idp().union)
    world.say(f"scopes of {IDP}: {listed(world.idp().union)}")
    served = world.provisioner.call("GET", connector.RESOURCES).decoded(ManagedResources).items
    expect("what is routed where", [(JIRA_RESOURCE, IDP)], [(one.resource_type, one.idp) for one in served])
    world.say(f"{JIRA_RESOURCE} is routed to {IDP}")


def log_in_alice_and_bob(world: World) -> None:
    """alice and bob log in through Atlassian's consent page, and an app learns who they are."""
    world.auth.call("POST", client.PATH, body=APP)
    for person in ("alice", "bob"):
        requested = log_in(world, person, JIRA_RESOURCE)[1].requested
        expect(f"what Atlassian was asked for {person}", set(WITH_JIRA) - set(BASE_SCOPES), set(requested))
        world.say(f"{person} consented to {listed(requested)}; to the app, {person} is {world.users[person]}")
    expect("two people have two user ids", 2, len(set(world.users.values())))
    expect_soon("who must consent again", [], lambda: _who(world))
    world.say("nobody must consent again")


def provision_confluence(world: World) -> None:
    """identos.confluence-user is provisioned: alice and bob must consent again, and why is known."""
    expect("the answer to provisioning Confluence", 201, world.provision(CONFLUENCE))
    expect_soon("who must consent again", sorted(world.users.values()), lambda: _who(world))
    found = world.worklist()
    for row in found.items:
        expect("what is missing", CONFLUENCE_ADDS, tuple(lack.scope for lack in row.missing))
        expect("because of which connector", CONFLUENCE, connectors_of(row))
        expect("since which event", world.last_seq(), row.since.seq)
        world.say(f"{_name(world, row.user)} lacks {scopes_of(row)}")
        world.say(f"  because of {connectors_of(row)}, since event {row.since.seq} of {row.since.at:%H:%M:%S}")
    world.moment = max(row.since.at for row in found.items)


def report_insufficient(world: World) -> None:
    """A service met alice's token without a scope that it needed, and says so in the log."""
    alice = world.users["alice"]
    event = TokenInsufficient(
        user=alice, idp=IDP, resource_type=CONFLUENCE_RESOURCE, missing=("write:confluence-content",)
    )

    world.let_in(GATEWAY)
    report(world, GATEWAY, event)
    expected = [(GATEWAY, ("write:confluence-content",))]
    expect_soon("the reports on alice's token", expected, lambda: _reports(world, alice))
    world.say(f"{GATEWAY}, let in with its own key: alice's token lacks write:confluence-content; so says her row")


def step_up_alice(world: World) -> None:
    """alice logs in again, consents to the union, and leaves the worklist; bob stays."""
    _, visit = log_in(world, "alice", CONFLUENCE_RESOURCE)
    explained = [page for page in visit.pages if all(scope in page for scope in (*CONFLUENCE_ADDS, CONFLUENCE))]
    expect(
        "pages that tell alice what is missing and which connector needs it, before Atlassian's own", 1, len(explained)
    )
    world.say(f"before Atlassian asks, a page tells alice what was added, and that {CONFLUENCE} needs it")
    expect("what Atlassian was asked for alice", set(WITH_CONFLUENCE) - set(BASE_SCOPES), set(visit.requested))
    world.say(f"alice consented to {listed(visit.requested)}")
    expect_soon("who must consent again", [world.users["bob"]], lambda: _who(world))
    world.say("on the worklist: bob")


def provision_again_and_deprovision(world: World) -> None:
    """Confluence provisioned again changes nothing; deprovisioned, the union stays and nobody is asked."""
    before = world.last_seq()
    expect("the answer to provisioning Confluence again", 200, world.provision(CONFLUENCE))
    expect("the last event of the log", before, world.last_seq())
    world.say(f"provisioned again: the log still ends at event {before}")
    world.provisioner.call("DELETE", f"{connector.RESOURCES}/{CONFLUENCE}")
    expect_soon("who must consent again", [], lambda: _who(world))
    expect("the union of atlassian", WITH_CONFLUENCE, world.idp().union)
    world.say("deprovisioned: the union keeps its scopes, and nobody must consent again")


def travel_and_rebuild(world: World) -> None:
    """The worklist of step 4 comes back from the log; and all of them do, from a deleted database."""
    assert world.moment is not None, "step 4 comes before"
    then = world.moment.isoformat()
    everyone = ("reconsent", "list", "--all", "--json")
    before_now, before_then = world.command(*everyone), world.command(*everyone, "--at", then)
    rows = msgspec.json.decode(before_then, type=Worklist).items
    expect("who had to consent again then", sorted(world.users.values()), sorted(row.user for row in rows))
    world.say(f"$ scopefold reconsent list --at {then}")
    for line in world.command("reconsent", "list", "--at", then).splitlines():
        world.say(f"  {line}")
    world.rebuild_auth()
    world.say("auth was killed, its database deleted, and auth started again")
    expect("the worklist now, rebuilt", before_now, world.command(*everyone))
    expect("the worklist of step 4, rebuilt", before_then, world.command(*everyone, "--at", then))
    world.say("both worklists are the same, byte for byte")


class Step(Struct, frozen=True):
    """One step: its title, and the function that plays it."""

    title: str
    play: Callable[[World], None]


STEPS: Final[Sequence[Step]] = tuple(
    Step((function.__doc__ or "").strip(), function)
    for function in (
        register_atlassian,
        provision_jira,
        log_in_alice_and_bob,
        provision_confluence,
        report_insufficient,
        step_up_alice,
        provision_again_and_deprovision,
        travel_and_rebuild,
        call_through_a_gateway,
        explain_alices_grant,
        tell_what_changed,
    )
)


def _who(world: World) -> list[str]:
    return sorted(row.user for row in world.worklist().items)


def _reports(world: World, user: str) -> list[tuple[str, tuple[str, ...]]]:
    rows = [row for row in world.worklist().items if row.user == user]
    return [(report.publisher, report.missing) for row in rows for report in row.reports]


def _name(world: World, user: str) -> str:
    return next((person for person, known in world.users.items() if known == user), user)
