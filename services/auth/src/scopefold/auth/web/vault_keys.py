"""The admin API: which keys the vault is sealed with, and their rotation, step by step."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.core.rotation import Kind, Rotation
from scopefold.auth.core.seal import CannotOpen, UnknownKek
from scopefold.auth.store import rotation
from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.service import Service, now, service_of
from scopefold.ledger.log import LogUnavailable
from scopefold.runtime.logs import logger
from scopefold.runtime.web import Endpoint, Handler, ProblemError, json_response

LOOK_SECONDS: Final = 2.0
PATH: Final = "/v1/vault/rotations/{kind}"
WHAT_TO_DO: Final = (
    "Add that key to SCOPEFOLD_KEK as a further line, start again, and let `scopefold vault rotate-kek` finish."
)
log = logger(__name__)


class RotationView(Struct, frozen=True):
    """A rotation of the vault's keys, and how far it is."""

    kind: Annotated[Kind, Meta(description="kek: all data keys get another key-encryption key. data-keys: new ones.")]
    state: Annotated[
        Literal["running", "settling", "finished"],
        Meta(description="settling: replaced data keys stay readable for two minutes; it goes on at `resume_at`."),
    ]
    began_at: datetime
    passes: Annotated[int, Meta(description="A rotation is finished when a pass over all keys found nothing to do.")]
    replaced: Annotated[int, Meta(description="Keys that were sealed anew, or replaced.")]
    left: Annotated[int, Meta(description="Keys that this pass has still to look at.")]
    unreadable: Annotated[int, Meta(description="Keys that do not open, or whose owner has a row that does not.")]
    resume_at: datetime | None = None
    finished_at: datetime | None = None


class VaultKeys(Struct, frozen=True):
    """The key-encryption keys, by name, and the rotation that is under way or was the last."""

    sealing: Annotated[str, Meta(description="What new data keys are sealed with.")]
    wanted: Annotated[str, Meta(description="The first key that this replica was given.")]
    in_use: Annotated[tuple[str, ...], Meta(description="What data keys may be sealed with: none of these may go.")]
    rotation: RotationView | None = None


async def show_keys(request: Request) -> Response:
    """`GET /v1/vault/keys`"""
    keys = service_of(request).bus.vault.keys
    keks, _ = await keys.keks()
    found = await rotation.present(keys)
    return json_response(VaultKeys(keks.sealing, keys.wanted, keks.in_use, _view(found) if found else None))


async def begin_rotation(request: Request) -> Response:
    """`POST /v1/vault/rotations/{kind}`: nothing is done yet but to say so."""
    service, kind = service_of(request), _kind(request)
    try:
        begun = await rotation.begin(service.bus.vault.keys, kind, now())
    except rotation.AnotherUnderWay as error:
        raise ProblemError(409, "rotation-under-way", "Another rotation is under way", f"Finish it: {error}") from None
    except Taken:
        raise _busy() from None
    log.info("rotation of the vault's keys", kind=kind, began_at=begun.began_at.isoformat())
    return json_response(_view(begun))


async def go_on(request: Request) -> Response:
    """`POST /v1/vault/rotations/{kind}/steps`: two seconds' work at most."""
    service, kind = service_of(request), _kind(request)
    try:
        found = await rotation.step(service.bus.vault.keys, now())
    except Taken:
        raise _busy() from None
    if found is None or found.kind != kind:
        detail = f"Begin one: POST {PATH.format(kind=kind)}"
        raise ProblemError(409, "no-rotation", "There is no such rotation under way", detail)
    if found.finished_at is not None:
        log.info("the vault's keys are rotated", kind=kind, replaced=found.replaced, unreadable=found.unreadable)
    return json_response(_view(found))


async def keep_vault_readable(service: Service) -> None:
    """Stop serving where another replica has begun to seal with a key that this one was not given.

    Ends only where this needs an operator.
    """
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if (connected := service.connected) is None or not connected.log.nc.is_connected:
            continue  # this replica serves nobody now
        try:
            await connected.vault.keys.keks()
        except UnknownKek as error:
            service.broken = f"{error}. {WHAT_TO_DO}"
            log.critical("stopped: this needs an operator", reason=str(error), what_to_do=WHAT_TO_DO)
            return
        except (LogUnavailable, Taken):
            continue  # it is told elsewhere
        except CannotOpen as error:  # whoever seals a new user's key meets it, too; it may be put right
            log.error("which keys seal the vault cannot be read", reason=str(error))


def endpoints(guard: Callable[[Handler], Handler]) -> list[Endpoint]:
    """These operations."""
    return [
        Endpoint(
            method="GET",
            path="/v1/vault/keys",
            summary="Which key-encryption keys the vault is sealed with, and how far their rotation is",
            handler=guard(show_keys),
            answers={200: VaultKeys},
            problems=(401, 503),
        ),
        Endpoint(
            method="POST",
            path=PATH,
            summary="Begin to rotate the vault's keys, or go on with what has begun",
            handler=guard(begin_rotation),
            answers={200: RotationView},
            problems=(401, 404, 409, 503),
        ),
        Endpoint(
            method="POST",
            path=f"{PATH}/steps",
            summary="Rotate some more of the vault's keys",
            handler=guard(go_on),
            answers={200: RotationView},
            problems=(401, 404, 409, 503),
        ),
    ]


def _kind(request: Request) -> Kind:
    try:
        kind: Kind = msgspec.convert(request.path_params["kind"], Kind)
    except msgspec.ValidationError:
        raise ProblemError(404, "unknown-kind", "There is no such rotation", "There are kek and data-keys.") from None
    return kind


def _busy() -> ProblemError:
    return ProblemError(503, "busy", "Others change the same keys", "Try again.", headers={"retry-after": "1"})


def _view(one: Rotation) -> RotationView:
    finished, settling = one.finished_at is not None, one.resume_at is not None and one.looked == 0
    return RotationView(
        kind=one.kind,
        state="finished" if finished else "settling" if settling else "running",
        began_at=one.began_at,
        passes=one.passes,
        replaced=one.replaced,
        left=0 if finished else max(0, one.total - one.looked),
        unreadable=one.unreadable,
        resume_at=one.resume_at if settling else None,
        finished_at=one.finished_at,
    )
