"""Text that others chose, as it stands in a table that a spreadsheet may open."""

from typing import Final

FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""With what a cell begins that spreadsheets take for a formula, the full-width forms among them."""


def harmless(text: str) -> str:
    """The text without control characters, and behind an apostrophe where it would be a formula."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return f"'{shown}" if text.lstrip(" ").startswith(FORMULA) else shown
