"""Where the story plays: the servers, the people in it, and how a step says that it came otherwise than told."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from scopefold.cli import connector
from scopefold.cli.answers import Idp, Worklist
from scopefold.cli.api import Api
from scopefold.cli.browser import Browser, Choose, Form, Lost, Seen, new_cookies
from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.connected import connected
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.failure import Failure
from scopefold.cli.newcomer import IDP
from scopefold.cli.reach import ANALYST
from scopefold.cli.relying_party import RelyingParty, SignedIn, SignInFailed
from scopefold.cli.worklist import ask
from scopefold.contracts.events import TokenInsufficient
from scopefold.contracts.publish import NotPublished, publish
from scopefold.ledger.log import status
from scopefold.runtime.secret import Secret

FOLD_SECONDS: Final = 15.0
COMMAND_SECONDS: Final = 30.0
T = TypeVar("T")


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
        """Give a service a key of its own for the bus, which hears of it while it runs.

        The bus answers nobody for a moment meanwhile: returns once everybody has found back to it.
        """
        BusDirectory(Path(self.where.nats_credentials)).add(service)
        os.kill(self.where.pids["nats-server"], signal.SIGHUP)

        async def come() -> bool:
            async with connected(self.where.bus(service)):
                return True

        expect_soon(f"the bus lets {service} in", True, lambda: asyncio.run(come()))
        expect_soon("the log can be read", True, lambda: self.last_seq() > 0)
        expect_soon("auth is ready", 200, lambda: self.auth.call("GET", "/readyz").status)
        expect_soon("the provisioner is ready", 200, lambda: self.provisioner.call("GET", "/readyz").status)

    def last_seq(self) -> int:
        """The sequence of the log's last event."""

        async def asked() -> int:
            async with connected(self.where.bus(ANALYST)) as log:
                return (await status(log)).last_seq

        return asyncio.run(asked())

    def command(self, *arguments: str) -> str:
        """What `scopefold` prints for these arguments, run as people run it. Raises `NotAsTold` if it fails."""
        where = ["--auth-url", self.where.auth, "--admin-token-file", self.where.admin_token_file]
        where += ["--nats-url", self.where.nats, "--nats-credentials", self.where.nats_credentials]
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

    def looked() -> object:
        try:
            return look()
        except Failure as failure:  # who cannot answer now may do so at the next look
            return failure

    deadline = time.monotonic() + FOLD_SECONDS
    while (came := looked()) != expected and time.monotonic() < deadline:
        time.sleep(0.05)  # auth folds the log on its own time; there is nothing to wait on from outside
    expect(what, expected, came)


class Visit(Struct, frozen=True):
    """How a way through a browser went: the scopes that Atlassian was asked for, and what the pages said."""

    requested: tuple[str, ...]
    pages: tuple[str, ...]


def log_in(world: World, person: str, resource: str) -> tuple[SignedIn, Visit]:
    """Log a person in to the app, for a resource, and remember their user id."""
    app = RelyingParty(world.where.auth)

    async def going(browser: Browser, press: Choose, note: Seen) -> SignedIn:
        return await app.sign_in(browser, resource=resource, choose=press, seen=note)

    signed_in, visit = browse(world, person, going)
    expect(f"the user id of {person}", world.users.get(person, signed_in.user), signed_in.user)
    world.users[person] = signed_in.user
    return signed_in, visit


def browse(world: World, person: str, going: Callable[[Browser, Choose, Seen], Awaitable[T]]) -> tuple[T, Visit]:
    """Let a person go somewhere with their own browser, and say yes to everything on the way."""
    asked: list[str] = []
    pages: list[str] = []

    def press(form: Form) -> tuple[str, str] | None:
        return ("user", person) if ("user", person) in form.buttons else next(iter(form.buttons), None)

    def note(address: str, words: str) -> None:
        pages.append(words)
        if address.startswith(f"{world.sandbox}/atlassian/authorize"):
            asked.extend(parse_qs(urlsplit(address).query)["scope"][0].split())

    async def gone() -> T:
        browser = Browser(world.cookies.setdefault(person, new_cookies()))
        try:
            return await going(browser, press, note)
        finally:
            await browser.close()

    try:
        arrived = asyncio.run(gone())
    except (Lost, SignInFailed) as error:
        raise NotAsTold(f"{person} could not log in: {error}") from None
    return arrived, Visit(tuple(asked), tuple(pages))


def report(world: World, service: str, event: TokenInsufficient) -> None:
    """A service that was let in says once in the log that a token lacks something."""
    now = datetime.now(UTC)

    async def saying() -> None:
        async with connected(world.where.bus(service)) as log:
            await publish(log.nc, event, service=service, now=now)

    def reported() -> bool:
        try:
            asyncio.run(saying())
        except NotPublished:  # the bus reads anew whom it lets in, and may cut a connection for it
            return False
        return True

    expect_soon(f"the bus takes a report of {service}", True, reported)


def listed(scopes: Sequence[str]) -> str:
    """Scopes as the story says them."""
    return f"[{', '.join(scopes)}]"
