"""Bytes to events and back. Every tag that was ever shipped decodes, by way of its upcast."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from scopefold.contracts.events import Event

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: Final[Mapping[str, Upcast]] = {}
"""Old tag to the function that gives the same fact under the next tag. Never remove a line."""

MAX_DEPTH: Final = 32
"""How deeply a payload may nest. The parser's own limit depends on the caller's stack, so it would decide the same
bytes differently from one reader to the next."""

_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Tagged(msgspec.Struct):
    """What every payload has, whatever else it says."""

    type: str


_tag_decoder = msgspec.json.Decoder(Tagged)


def tag_in(payload: bytes) -> str:
    """The tag that a payload carries, as it was shipped. Raises `msgspec.MsgspecError` where it has none."""
    return _tag_decoder.decode(payload).type


class Undecodable(ValueError):
    """The payload is no event that this version knows; the message says why."""


def encode(event: Event) -> bytes:
    """The event as JSON. The same event always gives the same bytes."""
    return _encoder.encode(event)


def decode(payload: bytes, upcasts: Mapping[str, Upcast] = UPCASTS) -> Event:
    """The event in these bytes, brought to today's shape.

    Raises `Undecodable` for anything else: bad JSON, bad UTF-8, an unknown tag, a field that breaks its rule,
    nesting beyond `MAX_DEPTH`.
    """
    if _nests_too_deeply(payload):
        raise Undecodable(f"the payload nests deeper than {MAX_DEPTH} levels")
    try:
        payload.decode()  # the parser does not look into members that no event has
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        first = error
    try:
        if tag_in(payload) in upcasts:
            return _upcast(payload, upcasts)
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Undecodable(str(error)) from None
    raise Undecodable(str(first))


def _upcast(payload: bytes, upcasts: Mapping[str, Upcast]) -> Event:
    """An upcast meets whatever was published under its tag, so it may raise what looking into bad data raises."""
    raw = msgspec.json.decode(payload)
    for _ in range(len(upcasts)):
        if (upcast := upcasts.get(raw["type"])) is None:
            break
        raw = upcast(raw)
    return msgspec.convert(raw, Event)  # type: ignore[no-any-return]  # mypy sees a union alias as Any


def _nests_too_deeply(payload: bytes) -> bool:
    if payload.count(b"[") + payload.count(b"{") <= MAX_DEPTH:
        return False
    depth = deepest = 0
    for byte in _STRING.sub(b"", payload):
        depth += (byte in b"[{") - (byte in b"]}")
        deepest = max(deepest, depth)
    return deepest > MAX_DEPTH
