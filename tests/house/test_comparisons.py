"""What is compared with a secret is compared in a time that tells nothing of it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.house.source import ROOT, shipped, tree

SECRET: Final = re.compile(r"(^|_)(secret|hash|hashed|mac|signature|digest|token|verifier|nonce|challenge|password)$")
"""Names that hold a secret, or the hash of one."""
PUBLIC: Final = re.compile(r"running_hash$")
"""What is no secret: the log's running hash, which every reader may tell."""
CONSTANTS: Final = (ast.Constant, ast.List, ast.Tuple, ast.Set)


def short_of(node: ast.expr) -> str:
    """The last word of a name, or of what is called: `found.secret` and `secret(...)` are `secret`."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def careless(path: Path) -> Iterator[str]:
    """Comparisons by `==` or `!=` of what a name says to be a secret with anything but a constant."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = (node.left, node.comparators[0])
            if any(isinstance(side, CONSTANTS) or short_of(side).isupper() for side in sides):
                continue
            if any(SECRET.search(name) and not PUBLIC.search(name) for name in map(short_of, sides)):
                yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_H10_no_secret_is_compared_in_a_time_that_tells_of_it() -> None:
    found = [one for path in shipped() for one in careless(path)]
    assert [] == found
