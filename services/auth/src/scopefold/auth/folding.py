"""Keeps the projection at the end of the log for as long as the process lives, and readies what else the bus holds."""

import asyncio
from typing import Final

from joserfc.jwk import ECKey, RSAKey
from msgspec import json

from scopefold.auth.core.seal import CannotOpen
from scopefold.auth.store import buckets
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.oauth import Keys
from scopefold.auth.web.service import Connected, Service
from scopefold.ledger.follow import LogReplaced, follow
from scopefold.ledger.log import Log, LogNotDeclared, LogUnavailable
from scopefold.ledger.read import LogGap
from scopefold.runtime.bus import Bus
from scopefold.runtime.logs import logger

RETRY_SECONDS: Final = 0.5
log = logger(__name__)


async def keep_folding(service: Service, bus: Bus, kek: bytes, wake: asyncio.Event) -> None:
    """Connect, fold, and go on after every interruption. Ends only where the log or the vault cannot be trusted."""
    waiting = ""

    def caught_up() -> None:
        if not service.caught_up:
            service.caught_up = True
            seq = service.projection.checkpoint.seq if service.projection.checkpoint else 0
            log.info("ready", seq=seq)

    while True:
        try:
            reached = bus.log()
            if service.connected is None or service.connected.log is not reached:
                service.connected = await _connect(service, reached, kek)
            await follow(reached, service.projection.checkpoint, service.projection.apply, wake, caught_up)
        except (LogUnavailable, LogNotDeclared) as error:
            if str(error) != waiting:
                log.warning("waiting for the log", reason=str(error))
            waiting = str(error)
            await asyncio.sleep(RETRY_SECONDS)
        except (LogReplaced, LogGap, CannotOpen) as error:
            service.broken = str(error)
            log.critical("stopped: this needs an operator", reason=str(error))
            return


async def _connect(service: Service, reached: Log, kek: bytes) -> Connected:
    found = await buckets.connect(reached.js)
    vault = Vault(found.vault, service.settings.tenant, kek)
    await vault.open()
    return Connected(reached, found, vault, await _keys(vault))


async def _keys(vault: Vault) -> Keys:
    """The signing keys, made once for all replicas."""
    rs256 = await vault.signing_key("rs256", lambda: _text(RSAKey.generate_key(2048)))
    es256 = await vault.signing_key("es256", lambda: _text(ECKey.generate_key("P-256")))
    loaded = Keys(
        RSAKey.import_key(json.decode(rs256), {"use": "sig", "alg": "RS256"}),
        ECKey.import_key(json.decode(es256), {"use": "sig", "alg": "ES256"}),
    )
    for key in (loaded.rs256, loaded.es256):
        key.ensure_kid()
    return loaded


def _text(key: RSAKey | ECKey) -> str:
    return json.encode(key.as_dict(private=True)).decode()
