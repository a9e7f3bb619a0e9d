"""Clients in a YAML file, for operators who keep what they run under version control."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from msgspec import Meta, Struct

from scopefold.cli.failure import usage


class _File(Struct, forbid_unknown_fields=True):
    clients: Annotated[tuple[dict[str, Any], ...], Meta(max_length=1000)]


def read_clients(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The clients of a file: each id, and what describes it. Raises `Failure` (usage). Auth checks the descriptions."""
    try:
        found = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), _File)
    except OSError as error:
        raise usage("The file cannot be read", f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise usage("The file is no YAML", f"{path}: {error}") from None
    except msgspec.ValidationError as error:
        raise usage("The file must hold a list of `clients`", f"{path}: {error}") from None
    named: dict[str, dict[str, Any]] = {}
    for place, one in enumerate(found.clients, 1):
        client_id = one.get("client_id")
        if not isinstance(client_id, str) or not client_id or client_id in named:
            raise usage("Every client needs a client_id of its own", f"{path}: client {place} has {client_id!r}")
        rest = {name: value for name, value in one.items() if name != "client_id"}
        named[client_id] = {"client_name": client_id, **rest}
    return list(named.items())
