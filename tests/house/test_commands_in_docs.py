"""Every `scopefold` command that a page tells people to type is one that there is."""

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from scopefold.cli.main import scopefold
from tests.house.source import ROOT, named

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (scopefold .*)$", re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """What stands behind `scopefold` in each line of the page's blocks for a shell."""
    joined = "\n".join([*FENCED.findall(text), *INDENTED.findall(text)]).replace("\\\n", " ")
    for line in joined.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["scopefold"]:
            yield words[1:]


def parse(words: list[str]) -> None:
    """Read a command line as the command does, without running it. Raises `ClickException`."""
    command: click.Command = scopefold
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0]) if words else None
        if found is None:
            raise click.UsageError("there is no such command")
        command, words = found, words[1:]
    with contextlib.suppress(click.exceptions.Exit):  # --help was asked for
        command.make_context(command.name, list(words))


@pytest.mark.parametrize(
    "page", [page for page in PAGES if list(commands(page.read_text(encoding="utf-8")))], ids=named
)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for words in commands(page.read_text(encoding="utf-8")):
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"scopefold {shlex.join(words)}: {error.format_message()}")


def test_the_pages_are_seen() -> None:
    seen = {named(page) for page in PAGES if list(commands(page.read_text(encoding="utf-8")))}
    assert {"README.md", "docs/clients.md", "docs/recipes/spa.md", "docs/recipes/mcp.md"} <= seen


@pytest.mark.parametrize(
    "line",
    [
        "scopefold client regster x",
        "scopefold client register x --redirect https://x.example",
        "scopefold client register",
    ],
)
def test_the_search_finds_what_does_not_exist(line: str) -> None:
    (words,) = commands(f"```sh\n{line}\n```\n")
    with pytest.raises(click.ClickException):
        parse(words)
