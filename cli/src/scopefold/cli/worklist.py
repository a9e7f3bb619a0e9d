"""What the commands about the worklist share: how it is narrowed, and asked for."""

import functools
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from scopefold.cli.answers import Worklist
from scopefold.cli.api import Api
from scopefold.cli.names import names_told
from scopefold.cli.where import at_option, moment_option

R = TypeVar("R")
NARROWING: Final = ("idp", "connector", "scope", "user", "group", "since_after", "since_before", "at")
PAGE: Final = 500


def narrowed(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command the flags that narrow the worklist, as its argument `asked`: parameters of a request."""

    @click.option("--idp", help="At this identity provider alone.")
    @click.option("--connector", metavar="ID|TYPE", help="Lacking something for this connector, or resource type.")
    @click.option("--scope", help="Lacking this scope, however it is spelled.")
    @click.option("--user", help="This user alone.")
    @click.option("--group", help="Members of this group alone.")
    @moment_option("--since-after", help="Lacking it since later than this.")
    @moment_option("--since-before", help="Lacking it since no later than this.")
    @at_option
    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> R:
        kwargs["asked"] = {name: value for name in NARROWING if (value := kwargs.pop(name)) is not None}
        return command(*args, **kwargs)

    return wrapped


def ask(auth: Api, **params: str) -> Worklist:
    """One page of the worklist."""
    with names_told():
        return auth.call("GET", "/v1/reconsent", params=params).decoded(Worklist)
