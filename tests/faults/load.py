"""The load: clients that do what real ones do, send again what was not answered, and write down what was."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec
import nats
import nats.errors
from nats.aio.client import Client

from scopefold.cli.api import problem_in
from scopefold.cli.browser import Browser, Form, Lost, new_cookies
from scopefold.cli.endpoints import Endpoints
from scopefold.cli.reach import OPERATOR, Reach
from scopefold.cli.relying_party import RelyingParty, SignInFailed
from scopefold.contracts.commands import (
    ConnectorAnswer,
    DeprovisionConnector,
    ManagedResource,
    ProvisionConnector,
    command_subject,
)
from scopefold.ledger.append import append
from scopefold.ledger.credentials import Credentials
from scopefold.ledger.log import Log, LogUnavailable
from tests.faults.journal import Answered, Journal, LoggedIn, stored
from tests.faults.traffic import GATEWAY, Append, Command, Order, appends, commands, visits

APPENDERS: Final = 5
PEOPLE: Final = ("alice", "bob", "carol")
OVER_HTTP: Final = (("identos.confluence-user", "atlassian"), ("identos.opsgenie-user", "atlassian-2"))
OVER_NATS: Final = (("identos.jira-service-management", "atlassian-2"),)
RESOURCE: Final = "urn:connector:identos:jira-user"
RESOURCES: Final = "/v1/managed-resources"
TRY_SECONDS: Final = 1.0
LOGIN_SECONDS: Final = 15.0
ANSWERED_SECONDS: Final = 40.0
AGAIN_SECONDS: Final = 0.05
JOIN_SECONDS: Final = 60.0


class BrokenPromise(AssertionError):
    """A service answered what it may not; the message says to what."""


class Load:
    """All clients, in a thread of their own. `under_way` and `answered` count by process."""

    def __init__(self, where: Endpoints, admin_token: str, journal: Journal, seed: int) -> None:
        self.under_way: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.again: Counter[str] = Counter()
        self.failure: BaseException | None = None
        self.failed = threading.Event()
        self._where = where
        self._headers = {"authorization": f"Bearer {admin_token}"}
        self._journal = journal
        self._seed = seed
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def start(self) -> None:
        """Begin. What ends the load before `stop` is called is kept in `failure`, and `failed` is set."""
        self._thread.start()

    def stop(self) -> None:
        """Let every client get the answer that it waits for, and end. Raises what the load failed by."""
        with suppress(RuntimeError):  # its loop is closed: it has ended already
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(JOIN_SECONDS)
        if self._thread.is_alive():
            raise BrokenPromise(f"the load did not come to its end within {JOIN_SECONDS:.0f} s of the last kill")
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._all())
        except BaseException as error:
            self.failure = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
            self.failed.set()

    async def _all(self) -> None:
        found = {name: await connect(self._where.bus(name)) for name in ("auth", GATEWAY, OPERATOR)}
        try:
            async with asyncio.TaskGroup() as clients:
                for worker in range(APPENDERS):
                    clients.create_task(self._append({name: Log(nc) for name, nc in found.items()}, worker))
                for connector, idp in OVER_HTTP:
                    clients.create_task(self._command(self._over_http, connector, idp))
                for connector, idp in OVER_NATS:
                    clients.create_task(self._command(self._over_nats(found[OPERATOR]), connector, idp))
                for person in PEOPLE:
                    clients.create_task(self._visit(person))
        finally:
            for nc in found.values():
                with suppress(OSError):  # the bus may have just been killed
                    await nc.close()

    async def _rest(self, seconds: float) -> None:
        """The pause between two commands, which the end cuts short."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    @contextmanager
    def _doing(self, *processes: str) -> Iterator[None]:
        self.under_way.update(processes)
        try:
            yield
        finally:
            self.under_way.subtract(processes)

    async def _append(self, logs: Mapping[str, Log], worker: int) -> None:
        for planned in appends(self._seed, worker):
            if self._over.is_set():
                return
            with self._doing("nats"):
                self.again["nats"] += await acknowledged(logs[planned.publisher], planned)
            self._journal.keep(stored(planned.events))
            self.answered["nats"] += 1
            await self._rest(planned.rest_seconds)

    async def _command(self, send: "Send", connector: str, idp: str) -> None:
        for command in commands(self._seed, connector, idp):
            if self._over.is_set():
                return
            with self._doing("provisioner"):
                answer = await self._answer(send, command)
                if command.answer_is_lost and (second := await self._answer(send, command)) != answer:
                    raise BrokenPromise(f"{command.order}, sent twice: first {answer}, then {second}")
            if answer.problem is not None or answer.resource is None or not answer.changed:
                raise BrokenPromise(f"{command.order} was answered {answer}")
            assert command.order.idempotency_key is not None
            self._journal.keep(
                Answered(
                    key=command.order.idempotency_key,
                    connector=connector,
                    idp=idp,
                    provision=isinstance(command.order, ProvisionConnector),
                    resource=answer.resource,
                )
            )
            self.answered["provisioner"] += 1
            await self._rest(command.rest_seconds)

    async def _answer(self, send: "Send", command: Command) -> ConnectorAnswer:
        """Send the same command under the same key until it is answered by more than a 5xx."""
        deadline = time.monotonic() + ANSWERED_SECONDS
        while time.monotonic() < deadline:
            answer = await send(command)
            if answer is not None and (answer.problem is None or answer.problem.status < 500):
                return answer
            self.again["provisioner"] += 1
            await asyncio.sleep(AGAIN_SECONDS)
        raise BrokenPromise(f"{command.order} was not answered within {ANSWERED_SECONDS:.0f} s")

    async def _over_http(self, command: Command) -> ConnectorAnswer | None:
        return await over_http(self._where.provisioner, self._headers, command.order)

    def _over_nats(self, nc: Client) -> "Send":
        async def send(command: Command) -> ConnectorAnswer | None:
            subject = command_subject("default", type(command.order))
            try:
                reply = await nc.request(subject, msgspec.json.encode(command.order), timeout=TRY_SECONDS)
            except (nats.errors.Error, OSError, TimeoutError):
                return None
            return msgspec.json.decode(reply.data, type=ConnectorAnswer)

        return send

    async def _visit(self, person: str) -> None:
        cookies = new_cookies()
        for visit in visits(self._seed, person):
            if self._over.is_set():
                return
            cookies = new_cookies() if visit.anew else cookies
            with self._doing("auth", "sandbox"):
                user = await log_in(self._where, person, Browser(cookies))
            if user is None:  # thrown out of the flow: begin it anew, as the person would
                self.again.update(("auth", "sandbox"))
            else:
                self._journal.keep(LoggedIn(person, user, visit.anew))
                self.answered.update(("auth", "sandbox"))
            await self._rest(visit.rest_seconds)


Send = Callable[[Command], Awaitable[ConnectorAnswer | None]]


async def connect(reach: Reach) -> Client:
    """A client of the bus that outlives its crashes, and says nothing about them."""
    assert reach.credentials is not None
    mine = Credentials.of(reach.credentials)

    async def silent(_: Exception) -> None:
        pass

    return await nats.connect(
        reach.url,
        nkeys_seed=str(mine.seed_file),
        inbox_prefix=mine.inbox_prefix,
        allow_reconnect=True,
        max_reconnect_attempts=-1,
        reconnect_time_wait=AGAIN_SECONDS,
        error_cb=silent,
    )


async def acknowledged(log: Log, planned: Append) -> int:
    """Append, again and again with the same ids, until an answer is heard; how often it had to be sent again."""
    deadline = time.monotonic() + ANSWERED_SECONDS
    again, deaf = 0, planned.answer_is_lost
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await append(log, planned.events, tenant="default", publisher=planned.publisher, now=datetime.now(UTC))
        except (LogUnavailable, TimeoutError):
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            if not deaf:
                return again
            deaf = False
        again += 1
    raise BrokenPromise(f"the log did not acknowledge {planned.events[0].event_id} within {ANSWERED_SECONDS:.0f} s")


async def over_http(provisioner: str, headers: Mapping[str, str], order: Order) -> ConnectorAnswer | None:
    """A connector command over HTTP; None where there was no answer, or a 5xx."""
    keyed = {**headers, "idempotency-key": order.idempotency_key or ""}
    try:
        async with httpx.AsyncClient(base_url=provisioner, headers=keyed, timeout=TRY_SECONDS) as http:
            if isinstance(order, ProvisionConnector):
                answer = await http.post(RESOURCES, json={"connector": order.connector, "idp": order.idp})
            else:
                answer = await http.delete(f"{RESOURCES}/{order.connector}")
    except httpx.HTTPError:
        return None
    if answer.status_code >= 500:
        return None
    if not answer.is_success:
        return ConnectorAnswer(problem=problem_in(answer))
    changed = answer.status_code == 201 or isinstance(order, DeprovisionConnector)
    return ConnectorAnswer(changed=changed, resource=msgspec.json.decode(answer.content, type=ManagedResource))


async def log_in(where: Endpoints, person: str, browser: Browser) -> str | None:
    """Send a person through the whole flow; the user id that the app was told, None where the flow broke off."""

    def press(form: Form) -> tuple[str, str] | None:
        return ("user", person) if ("user", person) in form.buttons else next(iter(form.buttons), None)

    app = RelyingParty(where.auth)
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            return (await app.sign_in(browser, resource=RESOURCE, choose=press, seen=lambda *_: None)).user
    except (Lost, SignInFailed, TimeoutError, msgspec.ValidationError):
        return None
    finally:
        await browser.close()
