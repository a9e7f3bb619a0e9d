"""JSON Schemas of declared types."""

import inspect
from collections.abc import Iterable
from typing import Any

import msgspec


def schema_components(kinds: Iterable[Any], ref_template: str) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The schema of each type, and by name those that they refer to, as `ref_template` says.

    Descriptions are docstrings without the indentation of the code that they stand in, which Python keeps before 3.13
    and drops since.
    """
    schemas, components = msgspec.json.schema_components(kinds, ref_template=ref_template)
    for one in components.values():
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    return schemas, components
