"""The sandbox's stand-ins, as identity providers to register: all of it is told by the sandbox itself."""

from typing import Final, TypeVar

import httpx
import msgspec
from msgspec import Struct

from scopefold.cli.failure import refused, unreachable, usage
from scopefold.contracts.events import EndpointOverrides

PATH: Final = "/stand-ins.json"
SECONDS: Final = 15.0
T = TypeVar("T")


class StandIn(Struct, frozen=True):
    """A stand-in: which kinds of provider it serves for, and its one app. `app` is where that can be changed."""

    name: str
    title: str
    profiles: tuple[str, ...]
    client_id: str
    client_secret: str
    endpoints: EndpointOverrides
    app: str


class StandIns(Struct, frozen=True):
    """All stand-ins of a sandbox."""

    items: tuple[StandIn, ...]


class App(Struct, frozen=True):
    """An app, as a stand-in's console shows it and takes it."""

    name: str
    callbacks: tuple[str, ...]
    permitted_scopes: tuple[str, ...]


def stand_in_for(sandbox: str, profile: str) -> StandIn:
    """The stand-in for this kind of provider. Raises `Failure`: unreachable, or usage where there is none."""
    found = _decoded(_ask("GET", sandbox.rstrip("/") + PATH), StandIns).items
    for one in found:
        if profile in one.profiles:
            return one
    known = ", ".join(name for one in found for name in one.profiles)
    raise usage("The sandbox does not stand in for this provider", f"{profile} is not one of: {known}")


def allow_callback(stand_in: StandIn, callback: str) -> bool:
    """Let the stand-in's app send users back there; whether that was new to it. Raises `Failure`."""
    app = _decoded(_ask("GET", stand_in.app), App)
    if callback in app.callbacks:
        return False
    _ask("PUT", stand_in.app, msgspec.structs.replace(app, callbacks=(*app.callbacks, callback)))
    return True


def _decoded(answer: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise refused("The sandbox answered something that this command does not understand", str(error)) from None


def _ask(method: str, address: str, body: object = None) -> httpx.Response:
    headers = {"content-type": "application/json"} if body is not None else {}
    content = msgspec.json.encode(body) if body is not None else None
    try:
        answer = httpx.request(method, address, headers=headers, content=content, timeout=SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise unreachable("Cannot reach the sandbox", f"{address} does not answer ({error})") from None
    if not answer.is_success:
        raise refused("The sandbox refused", f"{method} {address}: HTTP {answer.status_code}")
    return answer
