"""Keeps the projection at the end of the log for as long as the process lives, and readies what else the bus holds."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

from scopefold.auth.core.seal import CannotOpen, UnknownKek
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.grants import Grants
from scopefold.auth.store.recent import Changes
from scopefold.auth.store.vault import Vault
from scopefold.auth.web import vault_keys, webhook
from scopefold.auth.web.client_documents import ClientDocuments
from scopefold.auth.web.service import AsOfLate, Connected, Service
from scopefold.auth.web.signing_keys import first_keys
from scopefold.auth.web.step_up import own_client
from scopefold.ledger.follow import LogReplaced, follow
from scopefold.ledger.log import Log, LogNotDeclared, LogUnavailable, status
from scopefold.ledger.read import LogGap
from scopefold.runtime.bus import Bus
from scopefold.runtime.logs import logger
from scopefold.runtime.serve import look_no_more_at_what_stays

RETRY_SECONDS: Final = 0.5
WHAT_TO_DO: Final[Mapping[type[Exception], str]] = {
    LogReplaced: "Bring the old log back; or, if the new one is meant, delete projection.db and start again.",
    LogGap: "Bring the log's storage back from a backup.",
    UnknownKek: vault_keys.WHAT_TO_DO,
    CannotOpen: "Set SCOPEFOLD_KEK to the key that this vault was sealed with, and start again.",
}
log = logger(__name__)


async def keep_folding(service: Service, bus: Bus, keks: Sequence[bytes], wake: asyncio.Event) -> None:
    """Connect, fold, and go on after every interruption. Ends only where the log or the vault cannot be trusted."""

    def caught_up() -> None:
        if service.waiting_for is not None:
            look_no_more_at_what_stays()  # the memories of what the bus holds, which are empty now, are there
            service.waiting_for = None
            log.info("ready", seq=service.projection.checkpoint.seq if service.projection.checkpoint else 0)

    while True:
        try:
            reached = bus.log()
            if service.connected is None or service.connected.log is not reached:
                service.connected = await connect(service, reached, keks)
                service.waiting_for = "the log is still being read"
            await follow(reached, service.projection.checkpoint, service.projection.apply, wake, caught_up)
        except (LogUnavailable, LogNotDeclared, sqlite3.Error) as error:
            if str(error) != service.waiting_for:
                log.warning("waiting for the log", reason=str(error))
            service.waiting_for = str(error)
            await asyncio.sleep(RETRY_SECONDS)
        except (LogReplaced, LogGap, CannotOpen) as error:
            service.broken = f"{error}. {WHAT_TO_DO[type(error)]}"
            log.critical("stopped: this needs an operator", reason=str(error), what_to_do=WHAT_TO_DO[type(error)])
            return
        except Exception as error:  # a fold that ended without a word would serve yesterday's answers for ever
            service.broken = "The log cannot be folded. Look for the cause in the log of the service."
            log.critical("stopped: this needs an operator", error=type(error).__name__, exc_info=error)
            return


async def connect(service: Service, reached: Log, keks: Sequence[bytes]) -> Connected:
    """What the bus holds, opened. Raises `LogUnavailable` and `CannotOpen`."""
    found = await buckets.connect(reached.js)
    vault = Vault(found.vault, service.settings.tenant, *keks)
    await vault.open()
    await webhook.begin(service, found.webhook, (await status(reached)).last_seq)
    changes = Changes(reached.js)
    vault_of_late = changes.recent(declared.VAULT, found.vault)
    grants_of_late = changes.recent(declared.GRANTS, found.grants)
    await changes.open()  # before anything is read there, which would open it as well
    late_vault = Vault(vault_of_late, service.settings.tenant, *keks)
    await late_vault.open()
    recent = AsOfLate(changes, late_vault, Grants(grants_of_late))
    described = ClientDocuments(service.egress) if service.settings.client_documents else None
    connected = Connected(reached, found, vault, await first_keys(vault), recent=recent, described=described)
    connected.clients.own = own_client(
        (service.settings.issuer, f"{service.settings.issuer}/{service.settings.tenant}")
    )
    return connected
