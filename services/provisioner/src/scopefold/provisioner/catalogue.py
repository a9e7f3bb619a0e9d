"""Reads the connector manifests: those that ship with this package, and an operator's own."""

import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec
import yaml

from scopefold.provisioner.core.fault import fault_in
from scopefold.provisioner.core.manifest import Manifest

MAX_FILE_BYTES: Final = 64 * 1024
MAX_FILES: Final = 1000
_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")


class BadManifest(ValueError):
    """A manifest cannot be used; the message is one line that names the file and the field."""


def load(extra: Path | None) -> Mapping[str, Manifest]:
    """All manifests by connector id, in the order of the ids. One in `extra` replaces the shipped one of its id.

    Raises `BadManifest`.
    """
    shipped = files(__package__).joinpath("manifests")
    found = _by_connector((entry.name, entry.read_bytes()) for entry in shipped.iterdir() if _is_manifest(entry.name))
    if extra is not None:
        found |= _by_connector(_texts_in(extra))
    return dict(sorted(found.items()))


def _is_manifest(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _texts_in(directory: Path) -> Iterable[tuple[str, bytes]]:
    try:
        paths = sorted(path for path in directory.iterdir() if _is_manifest(path.name))
        if len(paths) > MAX_FILES:
            raise BadManifest(f"{directory} holds {len(paths)} manifests; the limit is {MAX_FILES}")
        return [(str(path), path.read_bytes()) for path in paths]
    except OSError as error:
        raise BadManifest(f"{error.filename or directory}: cannot be read: {error.strerror}") from None


def _by_connector(texts: Iterable[tuple[str, bytes]]) -> dict[str, Manifest]:
    found: dict[str, Manifest] = {}
    for name, text in texts:
        manifest = parse(name, text)
        if manifest.connector in found:
            raise BadManifest(f"{name}: connector: {manifest.connector} has two manifests here; remove one")
        found[manifest.connector] = manifest
    return found


def parse(name: str, text: bytes) -> Manifest:
    """The manifest in a file's text; `name` names the file in errors. Raises `BadManifest`."""
    if len(text) > MAX_FILE_BYTES:
        raise BadManifest(f"{name}: is longer than {MAX_FILE_BYTES} bytes")
    try:
        manifest = msgspec.yaml.decode(text, type=Manifest)
        twice = _key_that_stands_twice(yaml.compose(text, yaml.CSafeLoader))
    except msgspec.ValidationError as error:
        place = _PLACE.search(str(error))
        field = place.group(1) if place else ""
        reason = _PLACE.sub("", str(error))
        raise BadManifest(f"{name}: {field}: {reason}" if field else f"{name}: {reason}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"{name}: is not YAML: {' '.join(str(error).split())}") from None
    if twice is not None:
        raise BadManifest(f"{name}: line {twice.start_mark.line + 1}: {twice.value} stands twice; remove one")
    if (fault := fault_in(manifest)) is not None:
        raise BadManifest(f"{name}: {fault}")
    return manifest


def _key_that_stands_twice(node: yaml.Node | None) -> yaml.Node | None:
    """The second of two fields of one name, of which YAML would drop the first without a word."""
    inside: list[yaml.Node] = list(node.value) if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        fields: list[tuple[yaml.Node, yaml.Node]] = node.value
        known = set[str]()
        for field, value in fields:
            if field.value in known:
                return field
            known.add(field.value)
            inside.append(value)
    return next((found for one in inside if (found := _key_that_stands_twice(one)) is not None), None)
