"""Values that must never be shown."""

from typing import Final

MASK: Final = "***"


class Secret:
    """A text that shows itself only to who asks by name: `repr`, `str`, logs and tracebacks see a mask."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
