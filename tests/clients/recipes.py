"""The recipes in docs/recipes, followed: their commands are run, and what they say to paste is read out of them."""

import asyncio
import re
import shlex
from pathlib import Path
from typing import Final

import msgspec

from tests.auth.world import App, World
from tests.cli.command import scopefold
from tests.support.process import ADMIN

RECIPES: Final = Path(__file__).parents[2] / "docs/recipes"


def blocks(page: str, language: str) -> list[str]:
    """Every code block of a language on a page."""
    text = (RECIPES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def block(page: str, language: str, replaced: dict[str, str]) -> str:
    """The one code block of a language on a page, with addresses and the like of the test's own."""
    (only,) = blocks(page, language)
    return _with(only, replaced)


async def register(world: World, page: str, client_id: str, replaced: dict[str, str] | None = None) -> App:
    """Register a client with the very command on its page."""
    begins = f"scopefold client register {client_id} "
    (line,) = [line for found in blocks(page, "sh") for line in found.splitlines() if line.startswith(begins)]
    env = {"SCOPEFOLD_AUTH_URL": world.auth.url, "SCOPEFOLD_ADMIN_TOKEN": ADMIN}
    _, *arguments = shlex.split(_with(line, replaced or {}))
    done = await asyncio.to_thread(scopefold, *arguments, "--json", env=env)
    assert 0 == done.returncode, done.stderr
    return App(world, msgspec.json.decode(done.stdout))


def _with(text: str, replaced: dict[str, str]) -> str:
    for theirs, ours in replaced.items():
        assert theirs in text, f"the recipe says nothing of {theirs}"
        text = text.replace(theirs, ours)
    return text
