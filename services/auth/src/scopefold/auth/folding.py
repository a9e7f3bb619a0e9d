"""Keeps the projection at the end of the log for as long as the process lives, and readies what else the bus holds."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from scopefold.auth.core.seal import CannotOpen, UnknownKek
from scopefold.auth.store import buckets, declared
from scopefold.auth.store.database import StoreAway, discard
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
LOOK_SECONDS: Final = 2.0
BROKEN_SECONDS: Final = 5.0
BRING_BACK: Final = "bring it back from a backup, or run: scopefold bus init"
WHAT_TO_DO: Final[Mapping[type[Exception], str]] = {
    LogReplaced: "Bring the old log back; or, if the new one is meant, delete projection.db and start again.",
    LogGap: "Bring the log's storage back from a backup.",
    UnknownKek: vault_keys.WHAT_TO_DO,
    CannotOpen: "Set SCOPEFOLD_KEK to the key that this vault was sealed with, and start again.",
}
log = logger(__name__)


async def keep_folding(service: Service, bus: Bus, keks: Sequence[bytes], wake: asyncio.Event) -> None:
    """Connect, fold, and go on after every interruption, also once a log that could not be trusted is the right one
    again. Ends only where the vault cannot be opened.
    """
    damaged: Exception | None = None
    mistrusted: str | None = None

    def caught_up() -> None:
        nonlocal mistrusted
        if service.connected is None:
            raise LogUnavailable("a bucket was made anew; all are opened again")
        if not service.settings.projection.exists():  # what is open still would be gone with this process
            raise StoreAway("it was deleted", damaged=True)
        if (damage := service.projection.damage) is not None:
            raise damage
        if mistrusted is not None and service.broken == mistrusted:  # not where the vault cannot be opened
            log.warning("the log can be trusted again")
            service.broken = mistrusted = None
        if service.waiting_for is not None:
            look_no_more_at_what_stays()  # the memories of what the bus holds, which are empty now, are there
            service.waiting_for = None
            service.was_ready.set()
            log.info("ready", seq=service.projection.checkpoint.seq if service.projection.checkpoint else 0)

    while True:
        try:
            if damaged is not None:
                await rebuild(service, damaged)
                damaged = None
            await service.projection.mend()
            reached = bus.log()
            if service.connected is None or service.connected.log is not reached:
                await let_go(service)
                service.connected = await connect(service, reached, keks)
                service.waiting_for = "the log is still being read"
            await follow(reached, service.projection.checkpoint, service.projection.apply, wake, caught_up)
        except (LogUnavailable, LogNotDeclared, StoreAway, OSError) as error:
            if isinstance(error, StoreAway) and error.damaged:
                damaged = error
            if str(error) != service.waiting_for:
                log.warning("waiting for the log", reason=str(error))
            service.waiting_for = str(error)
            await asyncio.sleep(RETRY_SECONDS)
        except (LogReplaced, LogGap) as error:
            mistrusted = stop(service, error)
            await asyncio.sleep(BROKEN_SECONDS)  # the right log may be brought back
        except CannotOpen as error:
            stop(service, error)
            return
        except Exception as error:  # a fold that ended without a word would serve yesterday's answers for ever
            service.broken = "The log cannot be folded. Look for the cause in the log of the service."
            log.critical("stopped: this needs an operator", error=type(error).__name__, exc_info=error)
            return


def stop(service: Service, error: LogReplaced | LogGap | CannotOpen) -> str:
    """Serve nothing, and say once why, and what to do: what is told from now on."""
    told = f"{error}. {WHAT_TO_DO[type(error)]}"
    if told != service.broken:
        log.critical("stopped: this needs an operator", reason=str(error), what_to_do=WHAT_TO_DO[type(error)])
    service.broken = told
    return told


async def rebuild(service: Service, why: Exception) -> None:
    """Begin the projection anew, in the place of a file that was damaged while it was open.

    Raises `StoreAway`, `OSError`.
    """
    path = service.settings.projection
    log.error("projection damaged, rebuilding from the log", path=str(path), reason=str(why))
    with suppress(StoreAway):
        await service.projection.close()
    discard(path)
    await service.projection.open(path)
    await let_go(service)  # what the webhook is to be told stood in that file, too


async def let_go(service: Service) -> None:
    """What the bus holds is opened anew before anything more is folded."""
    before, service.connected = service.connected, None
    if before is not None:
        await before.recent.changes.close()


async def keep_whole(service: Service, wake: asyncio.Event) -> None:
    """Serve only while all buckets are there, and open all again where one is another than it was. Ends with the
    process.

    What is in memory of a bucket, such as the vault's keys, must not meet another one of its name.
    """
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if (connected := service.connected) is None or not connected.log.nc.is_connected:
            continue  # this replica serves nobody now
        try:
            made = await buckets.made_at(connected.log.js)
        except LogUnavailable:
            continue  # it is told elsewhere
        gone = [name for name, at in made.items() if at is None]
        lacking = f"the bus has no bucket {', '.join(gone)}: {BRING_BACK}" if gone else None
        if lacking is not None and lacking != service.lacking:
            log.error("buckets are missing", buckets=gone, what_to_do=BRING_BACK)
        elif lacking is None and service.lacking is not None:
            log.info("all buckets are there again")
        if lacking is None and made != connected.made:
            log.warning("buckets were made anew", buckets=[one for one in made if made[one] != connected.made[one]])
            await let_go(service)
            wake.set()
        service.lacking = lacking


async def connect(service: Service, reached: Log, keks: Sequence[bytes]) -> Connected:
    """What the bus holds, opened. Raises `LogUnavailable` and `CannotOpen`."""
    made = await buckets.made_at(reached.js)
    found = await buckets.connect(reached.js)
    vault = Vault(found.vault, service.settings.tenant, *keks)
    await vault.open()
    await webhook.begin(service, found.webhook, (await status(reached)).last_seq)
    changes = Changes(reached.js)
    vault_of_late = changes.recent(declared.VAULT, found.vault)
    grants_of_late = changes.recent(declared.GRANTS, found.grants)
    late_vault = Vault(vault_of_late, service.settings.tenant, *keks)
    try:
        await changes.open()  # before anything is read there, which would open it as well
        await late_vault.open()
        keys = await first_keys(vault)
    except BaseException:
        await changes.close()
        raise
    recent = AsOfLate(changes, late_vault, Grants(grants_of_late))
    described = ClientDocuments(service.egress) if service.settings.client_documents else None
    connected = Connected(reached, found, vault, keys, made=made, recent=recent, described=described)
    connected.clients.own = own_client(
        (service.settings.issuer, f"{service.settings.issuer}/{service.settings.tenant}")
    )
    return connected
