"""What an operator orders is appended only if all still stands on which it was decided."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from scopefold.auth.core.idps import Refused
from scopefold.auth.core.pruning import Prune, prune
from scopefold.auth.settings import Settings
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.projection import Projection
from scopefold.auth.store.recent import Changes
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.service import AsOfLate, Connected, Service
from scopefold.auth.web.settling import settle
from scopefold.contracts.events import Event
from scopefold.ledger.append import NewEvent, append
from scopefold.ledger.follow import follow
from scopefold.ledger.log import Log, status
from scopefold.runtime.secret import Secret
from scopefold.runtime.web import ProblemError
from tests.auth.holders import some_keys
from tests.support.logs import deprovisioned, provisioned, registered

WIKI = provisioned("wiki", ("write:confluence-content",))


async def test_a_connector_that_is_provisioned_between_the_decision_and_its_append_wins(
    log: Log, tmp_path: Path
) -> None:
    wake = asyncio.Event()

    async def said(name: str, *events: Event, by: str) -> None:
        new = [NewEvent(f"{name}-{n:04}", event) for n, event in enumerate(events)]
        await append(log, new, tenant="default", publisher=by, now=datetime.now(UTC))
        wake.set()

    await declared.declare(log.js)
    await said("an-idp", registered(), by="auth")
    await said("came-and-went", WIKI, deprovisioned("wiki"), by="provisioner")
    async with AsyncExitStack() as held:
        projection = Projection("default")
        await projection.open(tmp_path / "projection.db")
        held.push_async_callback(projection.close)
        http = await held.enter_async_context(httpx.AsyncClient())
        service = Service(Settings(admin_token=Secret("x" * 24), data_dir=tmp_path), projection, http)
        found = await buckets.connect(log.js)
        vault = Vault(found.vault, "default", bytes(32))
        late = AsOfLate(Changes(log.js), vault, Grants(found.grants))
        service.connected = Connected(log, found, vault, some_keys(), made={}, recent=late)
        service.waiting_for = None
        folding = asyncio.create_task(follow(log, None, projection.apply, wake, lambda: None))
        held.callback(folding.cancel)
        decided: list[int] = []

        async def meanwhile() -> None:
            """Only the first time: the decision is taken, and nothing is appended yet."""
            decided.append(len(decided))
            if decided == [0]:
                await said("meanwhile", WIKI, by="provisioner")

        def order() -> Event | Refused | None:
            return prune(service.scopes.idps["atlassian"], Prune(scopes=WIKI.upstream_scopes))

        with pytest.raises(ProblemError, match=r"by identos\.wiki") as refused:
            await settle(service, order, meanwhile)
        assert (422, [0], 4) == (refused.value.status, decided, (await status(log)).last_seq)
