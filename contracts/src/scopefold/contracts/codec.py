"""Bytes to events and back. Every tag that was ever shipped decodes, by way of its upcast."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from scopefold.contracts.events import Event

Upcast = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTS: Final[Mapping[str, Upcast]] = {}
"""Old tag to the function that gives the same fact under the next tag. Never remove a line."""

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

    Raises `Undecodable` for anything else: bad JSON, bad UTF-8, an unknown tag, a field that breaks its rule.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        first = error
    try:
        tag = tag_in(payload)
        if tag not in upcasts:
            raise Undecodable(str(first)) from None
        raw = msgspec.json.decode(payload)
        for _ in range(len(upcasts)):
            if (upcast := upcasts.get(raw["type"])) is None:
                break
            raw = upcast(raw)
        return msgspec.convert(raw, Event)  # type: ignore[no-any-return]  # mypy sees a union alias as Any
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)) from None
