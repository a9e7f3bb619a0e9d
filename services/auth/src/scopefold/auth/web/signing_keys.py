"""The signing keys at work: read again and again, turned by schedule or by an operator, taken out when they leak."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.keys import Ring, begun, cleaned, due, is_full, revoked, rotated
from scopefold.auth.oauth.keys import Keys, keys_of, new_key
from scopefold.auth.store.buckets import Taken
from scopefold.auth.store.vault import Vault
from scopefold.auth.web.service import Connected, Service, now, service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.web import ProblemError, json_response

READ_SECONDS: Final = 2.0
"""A change that another replica made is seen after so long at the latest."""
TRIES: Final = 8
log = logger(__name__)


class KeyView(Struct, frozen=True):
    """A signing key, without anything that is secret."""

    kid: str
    alg: str
    state: str
    created_at: datetime
    since: datetime


class KeyViews(Struct, frozen=True):
    """All signing keys, the oldest first."""

    items: tuple[KeyView, ...]


async def changed(vault: Vault, change: Callable[[Ring], Ring | None]) -> Ring | None:
    """Change the ring by compare and set: what `change` makes of it; None where it makes nothing.

    `change` may make keys, which takes a moment, so it runs in a thread.
    """
    for _ in range(TRIES):
        before, revision = await vault.signing_ring()
        after = await asyncio.to_thread(change, before)
        if after is None or after == before:
            return after
        try:
            await vault.put_signing_ring(after, revision=revision)
        except Taken:
            continue
        return after
    raise LogUnavailable("others changed the signing keys at every try")


async def first_keys(vault: Vault) -> Keys:
    """The signing keys, made once for all replicas. Raises `LogUnavailable`."""
    ring = await changed(vault, lambda ring: begun(ring, new_key, now()))
    assert ring is not None
    return keys_of(ring)


async def keep_keys(service: Service) -> None:
    """Follow what other replicas and operators do to the keys, and turn those that are due. Ends with the process."""
    every = timedelta(days=service.settings.key_rotation_days)
    known: tuple[Connected, Ring] | None = None
    failing = False
    while True:
        await asyncio.sleep(READ_SECONDS)
        if (connected := service.connected) is None or not connected.log.nc.is_connected:
            continue  # this replica serves nobody now
        try:
            ring = await _read_and_turned(connected.vault, every)
            if known is None or known[0] is not connected or known[1] != ring:
                known, connected.keys = (connected, ring), keys_of(ring, connected.keys)
            failing = False
        except Exception as error:  # who stopped looking would believe a key that leaked for ever
            if not failing:
                log.error("the signing keys cannot be read again", error=type(error).__name__, reason=str(error))
            failing = True


async def _read_and_turned(vault: Vault, every: timedelta) -> Ring:
    """The ring as it is now, after the keys that were due have taken their turn."""
    ring, _ = await vault.signing_ring()
    if turning := due(ring, now(), every):
        ring = await changed(vault, lambda ring: _turned(ring, every)) or ring
        log.info("signing keys rotated", algorithms=turning)
    return cleaned(ring, now())


def _turned(ring: Ring, every: timedelta) -> Ring:
    moment = now()
    return rotated(ring, new_key, moment, due(ring, moment, every))


async def list_keys(request: Request) -> Response:
    """`GET /v1/keys`"""
    ring, _ = await service_of(request).bus.vault.signing_ring()
    return _answer(ring)


async def rotate_keys(request: Request) -> Response:
    """`POST /v1/keys/rotate`"""
    service = service_of(request)
    ring, _ = await service.bus.vault.signing_ring()
    if is_full(cleaned(ring, now())):
        detail = (
            "What the keys before signed must be believed for 13 hours. A key that leaked can be revoked at any time."
        )
        raise ProblemError(409, "rotated-too-often", "The signing keys were rotated too often", detail)
    return await _applied(service, lambda ring: rotated(ring, new_key, now()))


async def revoke_key(request: Request) -> Response:
    """`POST /v1/keys/{kid}/revoke`"""
    service, kid = service_of(request), request.path_params["kid"]
    answer = await _applied(service, lambda ring: revoked(ring, kid, new_key, now()))
    log.warning("signing key revoked", kid=kid)
    return answer


async def _applied(service: Service, change: Callable[[Ring], Ring | None]) -> Response:
    """Change the ring; this replica works with it at once."""
    connected = service.bus
    ring = await changed(connected.vault, change)
    if ring is None:
        raise ProblemError(404, "unknown-key", "There is no such signing key", "See: scopefold keys list")
    connected.keys = keys_of(ring, connected.keys)
    return _answer(ring)


def _answer(ring: Ring) -> Response:
    kept = cleaned(ring, now()).keys
    return json_response(
        KeyViews(tuple(KeyView(key.kid, key.alg, key.state, key.created_at, key.since) for key in kept))
    )
