"""Structs as forms: which fields a form for a Struct has, and the Struct that a sent form says.

A field's label and its explanation are the title and the description in its type. Booleans are boxes, literals are
choices, numbers are numbers, and tuples of texts are lines.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from msgspec import inspect as types

T = TypeVar("T", bound=Struct)
Kind = Literal["box", "choice", "number", "lines", "text"]


class Field(Struct, frozen=True):
    """A field of a form. `first` is the value that it has where nothing was set; None if there is none."""

    name: str
    label: str
    explanation: str
    kind: Kind
    value: Any
    options: tuple[Any, ...] = ()
    least: int | None = None
    most: int | None = None
    changed: bool = False


def fields_of(part: str, value: Struct) -> list[Field]:
    """The fields of a form for this Struct; their names begin with the part's."""
    info = types.type_info(type(value))
    assert isinstance(info, types.StructType)
    return [_field(part, one, getattr(value, one.name)) for one in info.fields]


def read(part: str, kind: type[T], form: Mapping[str, str]) -> T:
    """The Struct that a form says. Raises `msgspec.ValidationError`."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    said = {one.name: _read(one, form.get(f"{part}.{one.name}")) for one in info.fields}
    return msgspec.convert({name: value for name, value in said.items() if value is not None}, kind, strict=False)


def _field(part: str, one: types.Field, value: Any) -> Field:
    inner, told = _taken_apart(one.type)
    kind = _kind(inner)
    return Field(
        f"{part}.{one.name}",
        told.get("title", one.name),
        told.get("description", ""),
        kind,
        "\n".join(value) if kind == "lines" else value,
        tuple(inner.values) if isinstance(inner, types.LiteralType) else (),
        inner.ge if isinstance(inner, types.IntType) else None,
        inner.le if isinstance(inner, types.IntType) else None,
        changed=one.default is not msgspec.NODEFAULT and value != one.default,
    )


def _taken_apart(kind: types.Type) -> tuple[types.Type, Mapping[str, Any]]:
    """The type itself, and its title and description."""
    if isinstance(kind, types.Metadata):
        return kind.type, kind.extra_json_schema or {}
    return kind, {}


def _kind(inner: types.Type) -> Kind:
    match inner:
        case types.BoolType():
            return "box"
        case types.LiteralType():
            return "choice"
        case types.IntType():
            return "number"
        case types.VarTupleType():
            return "lines"
    return "text"


def _read(one: types.Field, said: str | None) -> Any:
    """A field's value as the form says it. A box that is not ticked is not sent."""
    inner, _ = _taken_apart(one.type)
    match inner:
        case types.BoolType():
            return said is not None
        case types.LiteralType():
            return next((value for value in inner.values if str(value) == said), said)
        case types.VarTupleType():
            return [line.strip() for line in (said or "").splitlines() if line.strip()]
    return said
