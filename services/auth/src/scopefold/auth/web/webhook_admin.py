"""The admin API's messages that the webhook did not take."""

import contextlib
import re
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from scopefold.auth.store.buckets import Taken
from scopefold.auth.web.service import Service, now, service_of
from scopefold.auth.web.webhook import DEAD, Dead
from scopefold.auth.web.webhook_sender import Sender
from scopefold.runtime.web import ProblemError, json_response

MOST_LISTED: Final = 1000
_ID: Final = re.compile(r"msg_[0-9a-f-]{36}")


class DeadView(Struct, frozen=True, kw_only=True):
    """A message that could not be delivered."""

    id: Annotated[str, Meta(description="Its webhook-id.")]
    attempts: int
    error: Annotated[str, Meta(description="Why the last attempt failed.")]
    at: datetime
    message: Annotated[msgspec.Raw, Meta(description="What was to be told.")]


class DeadViews(Struct, frozen=True, kw_only=True):
    """The messages that wait for an operator, at most 1000 of them."""

    webhook: Annotated[bool, Meta(description="One is set up. Else nobody is told, and nothing is sent once more.")]
    total: int
    items: tuple[DeadView, ...]


async def list_dead(request: Request) -> Response:
    """`GET /v1/webhook/dead`"""
    service = service_of(request)
    bucket = service.bus.buckets.webhook
    names = await bucket.keys(f"{DEAD}.*")
    found = [await bucket.get(name, Dead) for name in names[:MOST_LISTED]]
    items = sorted((_view(one[0]) for one in found if one is not None), key=lambda view: view.at)
    total = len(items) + max(0, len(names) - MOST_LISTED)
    return json_response(DeadViews(webhook=service.webhook is not None, total=total, items=tuple(items)))


async def retry_dead(request: Request) -> Response:
    """`POST /v1/webhook/dead/{message}/retry`: one attempt more."""
    service = service_of(request)
    sender, name = _sender(service), request.path_params["message"]
    bucket = service.bus.buckets.webhook
    found = await bucket.get(f"{DEAD}.{name}", Dead) if _ID.fullmatch(name) else None
    if found is None:
        raise ProblemError(404, "unknown-message", "There is no such message", "It may have been delivered meanwhile.")
    dead, revision = found
    if (error := await sender.send(dead.id, dead.body, now())) is not None:
        raise ProblemError(502, "not-delivered", "The webhook did not take it", f"{error}. It is kept.")
    with contextlib.suppress(Taken):  # somebody else delivered it at the same moment: the receiver knows it by its id
        await bucket.take(f"{DEAD}.{name}", revision)
    return Response(status_code=204)


def _sender(service: Service) -> Sender:
    if service.webhook is None:
        raise ProblemError(409, "no-webhook", "There is no webhook", "Set SCOPEFOLD_WEBHOOK_URL.")
    return service.webhook


def _view(dead: Dead) -> DeadView:
    return DeadView(id=dead.id, attempts=dead.attempts, error=dead.error, at=dead.at, message=msgspec.Raw(dead.body))
