"""The story of Scopefold in eight steps, told against real servers: what `scopefold demo` plays and the tests assert.

Each step is a function over the `World`; it does what its title says, checks that it came as told, and says what it
saw. Raises `NotAsTold` otherwise.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Struct

from scopefold.cli import client, connector
from scopefold.cli.answers import Idp, ManagedResources, Worklist
from scopefold.cli.api import Api
from scopefold.cli.browser import Browser, Form, Lost, new_cookies
from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.connected import connected
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.failure import Failure
from scopefold.cli.idp import BASE_SCOPES
from scopefold.cli.newcomer import IDP, JIRA, sandbox_atlassian
from scopefold.cli.reach import ANALYST
from scopefold.cli.reconsent import connectors_of, scopes_of
from scopefold.cli.reconsent_request import ask
from scopefold.cli.relying_party import APP, RelyingParty, SignInFailed
from scopefold.contracts.events import TokenInsufficient
from scopefold.contracts.publish import publish
from scopefold.ledger.log import status
from scopefold.runtime.secret import Secret

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
FOLD_SECONDS: Final = 15.0
COMMAND_SECONDS: Final = 30.0


class NotAsTold(AssertionError):
    """A step came out differently: what was expected, and what came."""


class World:
    """Where the story plays, and what its steps remember for the later ones.

    `rebuild_auth` kills auth, deletes its database, and starts it again.
    """

    def __init__(self, where: Endpoints, rebuild_auth: Callable[[], None], say: Callable[[str], None]) -> None:
        assert where.sandbox is not None, "the story needs the sandbox"
        token = Secret(Path(where.admin_token_file).read_text().strip())
        self.where = where
        self.sandbox = where.sandbox
        self.auth = Api("auth", where.auth, token)
        self.provisioner = Api("provisioner", where.provisioner, token)
        self.rebuild_auth = rebuild_auth
        self.say = say
        self.cookies: dict[str, CookieJar] = {}
        self.users: dict[str, str] = {}
        self.moment: datetime | None = None

    def idp(self) -> Idp:
        """Atlassian, as auth knows it now."""
        return self.auth.call("GET", f"/v1/idps/{IDP}").decoded(Idp)

    def worklist(self) -> Worklist:
        """Who must consent again at Atlassian now."""
        return ask(self.auth, idp=IDP)

    def provision(self, name: str) -> int:
        """Provision a connector at Atlassian; the answer's status, 201 where that changed something."""
        body = connector.Provision(connector=name, idp=IDP)
        return self.provisioner.call("POST", connector.RESOURCES, body=body).status

    def let_in(self, service: str) -> None:
        """Give a service a key of its own for the bus, which hears of it while it runs."""
        BusDirectory(Path(self.where.nats_credentials)).add(service)
        os.kill(self.where.pids["nats-server"], signal.SIGHUP)

    def last_seq(self) -> int:
        """The sequence of the log's last event."""

        async def asked() -> int:
            async with connected(self.where.bus(ANALYST)) as log:
                return (await status(log)).last_seq

        return asyncio.run(asked())

    def command(self, *arguments: str) -> str:
        """What `scopefold` prints for these arguments, run as people run it. Raises `NotAsTold` if it fails."""
        where = ["--auth-url", self.where.auth, "--admin-token-file", self.where.admin_token_file]
        line = [sys.executable, "-m", "scopefold.cli", *arguments, *where]
        done = subprocess.run(line, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        expect(f"the exit code of `scopefold {' '.join(arguments)}` ({done.stderr.strip()})", 0, done.returncode)
        return done.stdout


def expect(what: str, expected: object, came: object) -> None:
    """Raises `NotAsTold` unless the two are equal."""
    if expected != came:
        raise NotAsTold(f"{what}\n  expected: {expected}\n  came:     {came}")


def expect_soon(what: str, expected: object, look: Callable[[], object]) -> None:
    """Look until what is expected comes. Raises `NotAsTold` where it has not within 15 seconds."""
    deadline = time.monotonic() + FOLD_SECONDS
    while (came := look()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)  # auth folds the log on its own time; there is nothing to wait on from outside
    expect(what, expected, came)


def register_atlassian(world: World) -> None:
    """IdP atlassian is registered: what it is asked for, and what it is not."""
    world.auth.call("POST", "/v1/idps", body=sandbox_atlassian(world.sandbox))
    expect_soon("the scopes of atlassian", BASE_SCOPES, lambda: world.idp().union)
    world.say(f"scopes of {IDP}: {_list(world.idp().union)}")
    requested = world.idp().requested
    expect("what is requested of Atlassian, which refuses openid, email and profile", ("read:me",), requested)
    world.say(f"requested of Atlassian, which knows none of these: {_list(requested)}")


def provision_jira(world: World) -> None:
    """identos.jira-user is provisioned: the union grows, and the resource type is routed."""
    expect("the answer to provisioning Jira", 201, world.provision(JIRA))
    expect_soon("the union of atlassian", WITH_JIRA, lambda: world.idp().union)
    world.say(f"scopes of {IDP}: {_list(world.idp().union)}")
    served = world.provisioner.call("GET", connector.RESOURCES).decoded(ManagedResources).items
    expect("what is routed where", [(JIRA_RESOURCE, IDP)], [(one.resource_type, one.idp) for one in served])
    world.say(f"{JIRA_RESOURCE} is routed to {IDP}")


def log_in_alice_and_bob(world: World) -> None:
    """alice and bob log in through Atlassian's consent page, and an app learns who they are."""
    world.auth.call("POST", client.PATH, body=APP)
    for person in ("alice", "bob"):
        requested = log_in(world, person, JIRA_RESOURCE).requested
        expect(f"what Atlassian was asked for {person}", set(WITH_JIRA) - set(BASE_SCOPES), set(requested))
        world.say(f"{person} consented to {_list(requested)}; to the app, {person} is {world.users[person]}")
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

    async def report() -> None:
        async with connected(world.where.bus(GATEWAY)) as log:
            await publish(log.nc, event, service=GATEWAY, now=datetime.now(UTC))

    expect_soon("the bus lets the gateway report", None, lambda: _failure_of(report))
    expected = [(GATEWAY, ("write:confluence-content",))]
    expect_soon("the reports on alice's token", expected, lambda: _reports(world, alice))
    world.say(f"{GATEWAY}, let in with its own key: alice's token lacks write:confluence-content; so says her row")


def step_up_alice(world: World) -> None:
    """alice logs in again, consents to the union, and leaves the worklist; bob stays."""
    visit = log_in(world, "alice", CONFLUENCE_RESOURCE)
    explained = [page for page in visit.pages if all(scope in page for scope in (*CONFLUENCE_ADDS, CONFLUENCE))]
    expect(
        "pages that tell alice what is missing and which connector needs it, before Atlassian's own", 1, len(explained)
    )
    world.say(f"before Atlassian asks, a page tells alice what was added, and that {CONFLUENCE} needs it")
    expect("what Atlassian was asked for alice", set(WITH_CONFLUENCE) - set(BASE_SCOPES), set(visit.requested))
    world.say(f"alice consented to {_list(visit.requested)}")
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
    listed = ("reconsent", "list", "--all", "--json")
    before_now, before_then = world.command(*listed), world.command(*listed, "--at", then)
    rows = msgspec.json.decode(before_then, type=Worklist).items
    expect("who had to consent again then", sorted(world.users.values()), sorted(row.user for row in rows))
    world.say(f"$ scopefold reconsent list --at {then}")
    for line in world.command("reconsent", "list", "--at", then).splitlines():
        world.say(f"  {line}")
    world.rebuild_auth()
    world.say("auth was killed, its database deleted, and auth started again")
    expect("the worklist now, rebuilt", before_now, world.command(*listed))
    expect("the worklist of step 4, rebuilt", before_then, world.command(*listed, "--at", then))
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
    )
)


class Visit(Struct, frozen=True):
    """How a login went: the scopes that Atlassian was asked for, and what the pages on the way said."""

    requested: tuple[str, ...]
    pages: tuple[str, ...]


def log_in(world: World, person: str, resource: str) -> Visit:
    """Log a person in to the app, for a resource, and remember their user id."""
    asked: list[str] = []
    pages: list[str] = []

    def press(form: Form) -> tuple[str, str] | None:
        return ("user", person) if ("user", person) in form.buttons else next(iter(form.buttons), None)

    def note(address: str, words: str) -> None:
        pages.append(words)
        if address.startswith(f"{world.sandbox}/atlassian/authorize"):
            asked.extend(parse_qs(urlsplit(address).query)["scope"][0].split())

    async def going() -> str:
        browser = Browser(world.cookies.setdefault(person, new_cookies()))
        app = RelyingParty(world.where.auth)
        try:
            return await app.sign_in(browser, resource=resource, choose=press, seen=note)
        finally:
            await browser.close()

    try:
        user = asyncio.run(going())
    except (Lost, SignInFailed) as error:
        raise NotAsTold(f"{person} could not log in: {error}") from None
    expect(f"the user id of {person}", world.users.get(person, user), user)
    world.users[person] = user
    return Visit(tuple(asked), tuple(pages))


def _failure_of(coroutine: Callable[[], Coroutine[None, None, None]]) -> str | None:
    """Run it; how it failed, if it did."""
    try:
        asyncio.run(coroutine())
    except Failure as failure:
        return str(failure)
    return None


def _who(world: World) -> list[str]:
    return sorted(row.user for row in world.worklist().items)


def _reports(world: World, user: str) -> list[tuple[str, tuple[str, ...]]]:
    rows = [row for row in world.worklist().items if row.user == user]
    return [(report.publisher, report.missing) for row in rows for report in row.reports]


def _name(world: World, user: str) -> str:
    return next((person for person, known in world.users.items() if known == user), user)


def _list(scopes: Sequence[str]) -> str:
    return f"[{', '.join(scopes)}]"
