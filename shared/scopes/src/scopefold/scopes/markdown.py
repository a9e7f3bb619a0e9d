"""Markdown, as far as the generated pages need it."""

from collections.abc import Iterable, Iterator


def table(headers: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """The lines of a table."""
    names = list(headers)
    yield f"| {' | '.join(names)} |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield f"| {' | '.join(map(cell, row))} |"


def cell(text: str) -> str:
    """The text as a table's cell can hold it."""
    return flowing(text).replace("|", "\\|")


def codes(words: Iterable[str]) -> str:
    """The words, each as code."""
    return ", ".join(f"`{word}`" for word in words)


def flowing(text: str) -> str:
    """The text on one line."""
    return " ".join(text.split())
