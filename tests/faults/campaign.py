"""One campaign: everything really started, under load, killed by a seeded schedule; then every oracle is asked."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from scopefold.cli import client
from scopefold.cli.answers import ManagedResources
from scopefold.cli.api import Api
from scopefold.cli.browser import Browser, new_cookies
from scopefold.cli.bus_directory import BusDirectory
from scopefold.cli.child import Child
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.failure import Failure
from scopefold.cli.nats_server import NatsServer
from scopefold.cli.newcomer import sandbox_atlassian, set_up
from scopefold.cli.reach import ANALYST
from scopefold.cli.relying_party import APP
from scopefold.cli.stack import Plan, Stack, running
from scopefold.cli.worklist import ask
from scopefold.contracts.commands import DeprovisionConnector, ProvisionConnector
from scopefold.ledger.log import Log, status
from scopefold.ledger.read import LogGap, read
from scopefold.runtime.secret import Secret
from tests.faults import oracles
from tests.faults.journal import Answered, Journal, LoggedIn, Promise, Stored, promises_in
from tests.faults.load import PEOPLE, RESOURCES, BrokenPromise, Load, connect, log_in, over_http
from tests.faults.oracles import Found, Violation
from tests.faults.schedule import Kill, schedule
from tests.faults.traffic import GATEWAY, Order
from tests.faults.watch import Watched, answers

RECOVERED_SECONDS: Final = 30.0
LIVE_SECONDS: Final = 10.0
AFTERMATH_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.05
ASKED_AGAIN: Final = 40
DISCARDED: Final = "projection discarded"


class Line(Struct, frozen=True, kw_only=True):
    """What a campaign did to one process, and what came of it.

    `under_way`: kills that met an operation in flight in a process that was serving. `acknowledged` counts what
    clients were promised through the process: events, commands, logins.
    """

    process: str
    kills: int
    under_way: int
    acknowledged: int
    sent_again: int
    lost: int
    duplicates: int
    worst_recovery_ms: int


class Report(Struct, frozen=True, kw_only=True):
    """A campaign's outcome. The seed makes the same schedule and the same commands again."""

    seed: int
    seconds: int
    events: int
    lines: tuple[Line, ...]
    violations: tuple[Violation, ...]


class World:
    """The processes, and what is known of them."""

    def __init__(self, stack: Stack, load: Load) -> None:
        self._stack = stack
        self.load = load
        where = stack.endpoints
        self._acknowledged_before: float = 0
        self.watched = {
            "nats": Watched("nats", lambda: load.answered["nats"] > self._acknowledged_before),
            "auth": Watched("auth", answers(f"{where.auth}/readyz")),
            "provisioner": Watched("provisioner", answers(f"{where.provisioner}/readyz")),
            "sandbox": Watched("sandbox", answers(f"{where.sandbox}/healthz")),
        }

    def strike(self, kill: Kill) -> bool:
        """Kill a process and start it again; whether that met an operation under way. Raises `BrokenPromise`."""
        victim = self.watched[kill.process]
        awaited = {"nothing": (), "victim": (victim,), "everything": tuple(self.watched.values())}[kill.after]
        for one in awaited:
            if not one.wait(RECOVERED_SECONDS):
                process = self._child(one.name).process
                code = process.poll() if process is not None else None
                state = "it runs" if code is None else f"it ended with code {code}"
                raise BrokenPromise(f"{one.name} has not served for {RECOVERED_SECONDS:.0f} s after its kill: {state}")
        if self.load.failed.wait(kill.pause_seconds):
            raise BrokenPromise(f"the load failed: {self.load.failure}")
        met = victim.up and self.load.under_way[kill.process] > 0
        victim.falls()
        child = self._child(kill.process)
        child.kill()
        self._acknowledged_before = math.inf  # what is counted until it runs again, it acknowledged before
        child.start()
        self._acknowledged_before = self.load.answered["nats"]
        return met

    def _child(self, process: str) -> Child | NatsServer:
        return self._stack.nats if process == "nats" else self._stack.services[process]

    def dead(self, deadline: float) -> list[Violation]:
        """O8: every process serves at the deadline, seen anew."""
        self._acknowledged_before = self.load.answered["nats"]
        for one in self.watched.values():
            one.look_again()
        return [
            Violation("O8", name, f"does not serve {LIVE_SECONDS:.0f} s after the last kill")
            for name, one in self.watched.items()
            if not one.wait(deadline - time.monotonic())
        ]

    def close(self) -> None:
        """Watch no more."""
        for one in self.watched.values():
            one.close()


def run(seed: int, processes: Sequence[str], kills: int, directory: Path) -> Report:
    """Run one campaign in an empty directory, which is left as it is at the end."""
    began = time.monotonic()
    plan = Plan(data=directory / "data", sandbox=True, auth_port=0, provisioner_port=0, sandbox_port=0, nats_port=0)
    journal = Journal(directory / "journal")
    met: Counter[str] = Counter()
    struck: Counter[str] = Counter()
    violations: list[Violation] = []
    bus = BusDirectory(plan.data / "bus")
    bus.make("default")
    bus.add(GATEWAY, ["log"])  # who appends reads what has its id already
    with running(plan) as stack:
        apis = prepare(stack)
        load = Load(stack.endpoints, apis.token.reveal(), journal, seed)
        world = World(stack, load)
        load.start()
        try:
            for kill in schedule(seed, processes, kills):
                struck[kill.process] += 1
                met[kill.process] += world.strike(kill)
            violations += world.dead(time.monotonic() + LIVE_SECONDS)
            load.failed.wait(AFTERMATH_SECONDS)
        except BrokenPromise as error:
            violations.append(Violation("O8", "load", str(error)))
        finally:
            world.close()
            violations += ended(load)
        violations += asyncio.run(calm_logins(apis, journal))
        journal.close()
        promises = promises_in(journal.path)
        events, spoken = asyncio.run(judge(stack, apis, promises))
    violations += spoken
    lines = tuple(
        line_of(world.watched[name], load, promises, violations, kills=struck[name], under_way=met[name])
        for name in world.watched
    )
    seconds = round(time.monotonic() - began)
    return Report(seed=seed, seconds=seconds, events=events, lines=lines, violations=tuple(sorted(violations)))


def ended(load: Load) -> list[Violation]:
    """O8: every client got its answer. Nothing is written to the log after this."""
    try:
        load.stop()
    except Exception as error:
        return [Violation("O8", "load", f"{type(error).__name__}: {error}")]
    return []


class Apis(Struct, frozen=True):
    """The running services, as an operator reaches them."""

    where: Endpoints
    token: Secret
    auth: Api
    provisioner: Api


def prepare(stack: Stack) -> Apis:
    """What must be there before the load: two IdPs, the app, and the connector that logins are for."""
    where = stack.endpoints
    assert where.sandbox is not None
    token = Secret(Path(where.admin_token_file).read_text().strip())
    apis = Apis(where, token, Api("auth", where.auth, token), Api("provisioner", where.provisioner, token))
    set_up(where, lambda _: None, bare=False)
    second = sandbox_atlassian(where.sandbox)
    second.idp = "atlassian-2"
    apis.auth.call("POST", "/v1/idps", body=second)
    apis.auth.call("POST", client.PATH, body=APP)
    return apis


async def calm_logins(apis: Apis, journal: Journal) -> list[Violation]:
    """O8: once nothing is killed any more, everyone can log in."""
    wrong = []
    for person in PEOPLE:
        user = await log_in(apis.where, person, Browser(new_cookies()))
        if user is None:
            wrong.append(Violation("O8", "auth", f"{person} cannot log in after the last kill"))
        else:
            journal.keep(LoggedIn(person, user, True))
    return wrong


async def judge(stack: Stack, apis: Apis, promises: Sequence[Promise]) -> tuple[int, list[Violation]]:
    """Ask every oracle about the log and about auth's database; how many events there are, and what is wrong."""
    nc = await connect(stack.endpoints.bus(ANALYST))
    try:
        log = Log(nc)
        last_seq = (await status(log)).last_seq
        contents: list[Found] = []
        wrong: list[Violation] = []
        try:
            async for messages in read(log):
                contents += [oracles.found(message) for message in messages]
        except LogGap as gap:
            wrong.append(Violation("O3", "nats", str(gap)))
        wrong += oracles.nothing_lost(promises, contents)
        wrong += oracles.nothing_twice(promises, contents)
        wrong += oracles.no_gap(contents, last_seq)
        wrong += oracles.in_one_piece(promises, contents)
        wrong += await answered_alike(apis, promises)
        wrong += served_as_logged(apis, contents)
        wrong += await followed(apis, last_seq)
        auth = stack.services["auth"]
        auth.stop()
        wrong += await oracles.same_as_rebuilt(log, stack.directory.auth / "projection.db")
        if DISCARDED in auth.log.read_text():
            wrong.append(Violation("O4", "auth", "a kill damaged the database: it was discarded and rebuilt"))
    finally:
        await nc.close()
    return len(contents), wrong


async def answered_alike(apis: Apis, promises: Sequence[Promise]) -> list[Violation]:
    """O2: a command that is sent again under its key is answered as it was, whatever was killed since."""
    wrong = []
    headers = {"authorization": f"Bearer {apis.token.reveal()}"}
    for promise in [one for one in promises if isinstance(one, Answered)][-ASKED_AGAIN:]:
        order: Order
        if promise.provision:
            order = ProvisionConnector(connector=promise.connector, idp=promise.idp, idempotency_key=promise.key)
        else:
            order = DeprovisionConnector(connector=promise.connector, idempotency_key=promise.key)
        answer = await over_http(apis.where.provisioner, headers, order)
        if answer is None or answer.resource != promise.resource or not answer.changed:
            wrong.append(Violation("O2", "provisioner", f"{promise.key} is now answered {answer}"))
    return wrong


def served_as_logged(apis: Apis, contents: Sequence[Found]) -> list[Violation]:
    """O4: the provisioner serves what the log says."""
    try:
        items = apis.provisioner.call("GET", RESOURCES).decoded(ManagedResources).items
    except Failure as failure:
        return [Violation("O8", "provisioner", failure.problem.detail)]
    served = {one.resource_type: (one.event_id, one.seq) for one in items}
    if served == (logged := oracles.provisioned_by(contents)):
        return []
    return [Violation("O4", "provisioner", f"it serves {served}; the log says {logged}")]


async def followed(apis: Apis, last_seq: int) -> list[Violation]:
    """O8: auth has folded the log to its end."""
    deadline = time.monotonic() + LIVE_SECONDS
    reached, told = 0, ""
    while time.monotonic() < deadline:
        try:
            reached = ask(apis.auth, limit="1").as_of.seq
        except Failure as failure:
            told = failure.problem.detail
        if reached >= last_seq:
            return []
        await asyncio.sleep(POLL_SECONDS)
    return [Violation("O8", "auth", f"has folded up to {reached}; the log ends at {last_seq}. {told}")]


def line_of(
    watched: Watched,
    load: Load,
    promises: Sequence[Promise],
    violations: Sequence[Violation],
    *,
    kills: int,
    under_way: int,
) -> Line:
    """The line of one process. Logins go through auth and the sandbox, and are told with both."""
    name = "auth" if watched.name == "sandbox" else watched.name
    told = Counter(violation.oracle for violation in violations if violation.process == name)
    events = sum(len(one.events) for one in promises if isinstance(one, Stored))
    by_process = {
        "nats": events,
        "provisioner": sum(isinstance(one, Answered) for one in promises),
        "auth": sum(isinstance(one, LoggedIn) for one in promises),
    }
    return Line(
        process=watched.name,
        kills=kills,
        under_way=under_way,
        acknowledged=by_process[name],
        sent_again=load.again[name],
        lost=told["O1"],
        duplicates=told["O2"],
        worst_recovery_ms=round(watched.worst_seconds * 1000),
    )
