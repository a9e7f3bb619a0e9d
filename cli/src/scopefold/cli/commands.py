"""The commands of `scopefold`, by the module that each is in.

A module is loaded when its command is used: what the bus and the services need takes half a second to load, and most
commands only ask over HTTP.
"""

from importlib import import_module
from typing import Final

import click

COMMANDS: Final = (
    "up",
    "demo",
    "idp",
    "connector",
    "client",
    "user",
    "token",
    "keys",
    "vault",
    "reconsent",
    "webhook",
    "log",
    "bus",
    "backup",
)
"""In the order in which the help tells them. Each is called like its module."""


WHOLE: Final = 1000


class Group(click.Group):
    """A group whose help says in a whole sentence what each command does, where click cuts it to what fits a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(WHOLE)) for name, one in found if one is not None and not one.hidden]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Commands(Group):
    """A group whose commands are loaded one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in their order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"scopefold.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command
