"""Commands against the log: read what is new, decide, append under what was read; again where others were faster."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from msgspec import Struct

from scopefold.consent.attribution import new_findings
from scopefold.contracts.events import ConnectorDeprovisioned, ConnectorProvisioned
from scopefold.contracts.recorded import Quarantined, Recorded, examine
from scopefold.contracts.subjects import idps_filter
from scopefold.ledger.append import Conflict, Expected, NewEvent, append
from scopefold.ledger.log import Log, LogUnavailable, status
from scopefold.ledger.moment import Moment
from scopefold.ledger.moments import resolve
from scopefold.ledger.read import read
from scopefold.provisioner.core.decide import Answer, Command, Refused, decide, event_id_of
from scopefold.provisioner.core.installed import EMPTY, State, fold
from scopefold.provisioner.core.manifest import Manifest
from scopefold.runtime.logs import logger
from scopefold.scopes.lint import Finding

PUBLISHER: Final = "provisioner"
TRIES: Final = 8
ANSWER_SECONDS: Final = 15.0
log = logger(__name__)


class Contended(RuntimeError):
    """Other writers were faster at every try."""


class Plan(Struct, frozen=True):
    """What a command would append now (None: nothing), and what would then newly be wrong with all that its IdP is
    asked for.

    How many users it would concern, the auth service tells: `POST /v1/previews` there takes the event.
    """

    event: ConnectorProvisioned | ConnectorDeprovisioned | None
    findings: tuple[Finding, ...] = ()


class Provisioning:
    """One tenant's connectors. Its memory is what it has folded of the log, and starts empty."""

    def __init__(
        self,
        ledger: Callable[[], Log],
        manifests: Mapping[str, Manifest],
        *,
        tenant: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self.manifests = manifests
        self._ledger = ledger
        self._tenant = tenant
        self._filter = idps_filter(tenant)
        self._now = now
        self._new_id = new_id
        self._lock = asyncio.Lock()
        self._state = EMPTY
        self._seq = 0
        self._created: datetime | None = None

    async def current(self) -> State:
        """The state as the log has it now. Raises `LogUnavailable`, `LogNotDeclared`."""
        async with self._alone():
            await self._catch_up(self._ledger())
            return self._state

    async def at(self, moment: Moment) -> State:
        """The state as the log had it at a moment, folded anew. Raises `NoSuchMoment`, and as `current`."""
        ledger = self._ledger()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._folded(ledger, await resolve(ledger, moment, self._now()))
        except TimeoutError:
            raise _too_late() from None

    async def _folded(self, ledger: Log, until: int) -> State:
        state = EMPTY
        async for messages in read(ledger, until=until, subject=self._filter):
            for message in messages:
                found = examine(message)
                if isinstance(found, Recorded) and found.seq <= until:  # a filter passes by the end that was asked for
                    state = fold(state, found)
        return state

    async def handle(self, command: Command) -> Answer | Refused:
        """Make the command take effect once, and give its answer; sent again under its key, the same answer.

        Raises `LogUnavailable` (it may have taken effect), `LogNotDeclared`, `LogFull`, `AppendRefused`, `Contended`.
        """
        event_id = self._event_id(command)
        async with self._alone():
            return await self._settle(self._ledger(), command, event_id)

    async def plan(self, command: Command) -> Plan | Refused:
        """What the command would lead to now. Appends nothing. Raises `LogUnavailable`, `LogNotDeclared`."""
        event_id = self._event_id(command)
        async with self._alone():
            await self._catch_up(self._ledger())
            decision = decide(self._state, self.manifests, command, event_id)
            if isinstance(decision, Refused):
                return decision
            if isinstance(decision, Answer):
                return Plan(None)
            recorded = Recorded(self._seq + 1, self._now(), self._tenant, event_id, PUBLISHER, decision.event)
            before, after = (one.scopes.idps[decision.event.idp] for one in (self._state, fold(self._state, recorded)))
            return Plan(decision.event, new_findings(before, after))

    def _event_id(self, command: Command) -> str:
        key = command.idempotency_key
        return self._new_id() if key is None else event_id_of(self._tenant, key)

    async def _settle(self, ledger: Log, command: Command, event_id: str) -> Answer | Refused:
        for attempt in range(TRIES):
            if attempt > 1:  # the second round is the usual one: it finds the event that the first appended
                await asyncio.sleep(0.005 * 2**attempt)
            await self._catch_up(ledger)
            decision = decide(self._state, self.manifests, command, event_id)
            if isinstance(decision, Answer | Refused):
                return decision
            try:
                await append(
                    ledger,
                    [NewEvent(event_id, decision.event)],
                    tenant=self._tenant,
                    publisher=PUBLISHER,
                    now=self._now(),
                    expected=Expected(self._filter, self._seq),
                )
            except Conflict:
                continue
        raise Contended(f"the command was decided {TRIES} times, and the log had moved on each time")

    async def _catch_up(self, ledger: Log) -> None:
        """Fold what is new in the log. The sequence counts quarantined messages too: the server does."""
        end = await status(ledger)
        if self._created not in (None, end.created) or end.last_seq < self._seq:
            log.warning("the log is another one than before; reading it from its start", created=str(end.created))
            self._state, self._seq = EMPTY, 0
        self._created = end.created
        async for messages in read(ledger, after=self._seq, subject=self._filter):
            for message in messages:
                found = examine(message)
                if isinstance(found, Quarantined):
                    log.warning("skipped a message of the log", seq=found.seq, subject=found.subject, why=found.reason)
                else:
                    self._state = fold(self._state, found)
                self._seq = message.seq

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """One caller at a time, and none of them, waiting included, for longer than 15 seconds."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS), self._lock:
                yield
        except TimeoutError:
            raise _too_late() from None


def _too_late() -> LogUnavailable:
    return LogUnavailable(f"the log gave no answer within {ANSWER_SECONDS:.0f} seconds")
