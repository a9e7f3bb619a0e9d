"""The recipes in docs/recipes, as their readers have them: what a page says to paste."""

import re
from pathlib import Path
from typing import Final

RECIPES: Final = Path(__file__).parents[2] / "docs/recipes"


def blocks(page: str, language: str) -> list[str]:
    """Every code block of a language on a page."""
    text = (RECIPES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(page: str, language: str) -> str:
    """The one code block of a language on a page."""
    (only,) = blocks(page, language)
    return only
