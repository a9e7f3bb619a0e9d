"""Scopes that bring others with them, where a provider says so in a table."""

from collections.abc import Iterable, Mapping, Sequence

Table = Mapping[str, Sequence[str]]


def closure(scopes: Iterable[str], table: Table) -> frozenset[str]:
    """The scopes with all that they bring, directly or by way of another."""
    found: set[str] = set()
    waiting = list(scopes)
    while waiting:
        if (scope := waiting.pop()) not in found:
            found.add(scope)
            waiting += table.get(scope, ())
    return frozenset(found)
