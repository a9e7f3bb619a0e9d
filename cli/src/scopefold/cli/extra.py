"""The lines between the parts of this command: asking needs little, serving and analysing need an extra each."""

from collections.abc import Iterator
from contextlib import contextmanager

from scopefold.cli.failure import usage


@contextmanager
def server_half() -> Iterator[None]:
    """Import the server half inside. Raises `Failure` (usage) where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        detail = f"{error.name} is missing. Install the servers with: pip install 'scopefold[server]'"
        raise usage("This needs the server half of scopefold", detail) from None


@contextmanager
def analysis_part() -> Iterator[None]:
    """Import what reads segments inside. Raises `Failure` (usage) where it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        detail = f"{error.name} is missing. Install it with: pip install 'scopefold[analysis]'"
        raise usage("This needs the analysis part of scopefold", detail) from None
