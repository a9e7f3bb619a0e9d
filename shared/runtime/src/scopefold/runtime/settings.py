"""Settings come from the environment, into a frozen Struct, or the process does not start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from scopefold.runtime.secret import Secret

PREFIX: Final = "SCOPEFOLD_"
S = TypeVar("S", bound=msgspec.Struct)


class BadSettings(ValueError):
    """A setting is missing or wrong; the message names the variable and what it must be."""


def load(kind: type[S], environ: Mapping[str, str]) -> S:
    """The settings of this kind: field `nats_url` is read from `SCOPEFOLD_NATS_URL`.

    `SCOPEFOLD_NATS_URL_FILE` names a file that holds the value instead. Raises `BadSettings`, also where both are set:
    whoever changed the one would believe that it counts.
    """
    values: dict[str, str] = {}
    for field in msgspec.structs.fields(kind):
        variable = PREFIX + field.name.upper()
        if (text := _value(variable, environ)) is not None:
            values[field.name] = text
        elif field.required:
            raise BadSettings(f"{variable} is not set (or {variable}_FILE, the path of a file that holds it)")
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        message = str(error)
        named = next((PREFIX + name.upper() for name in values if f"`$.{name}`" in message), "the settings")
        raise BadSettings(f"{named}: {message.partition(' - at')[0]}") from None


def _value(variable: str, environ: Mapping[str, str]) -> str | None:
    path = environ.get(f"{variable}_FILE")
    if variable in environ and path is not None:
        raise BadSettings(f"{variable} and {variable}_FILE are both set: unset the one that is not meant")
    if path is None:
        return environ.get(variable)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSettings(f"{variable}_FILE: cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadSettings(f"{variable}_FILE: cannot read {path}: it is not UTF-8 text") from None


def _decode(kind: type[Any], value: Any) -> Any:
    if kind is Secret:
        if not value:
            raise ValueError("a secret may not be empty")
        return Secret(value)
    if kind is Path:
        return Path(value)
    raise NotImplementedError
