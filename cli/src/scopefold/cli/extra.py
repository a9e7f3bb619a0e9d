"""The line between the two halves of this command: asking needs little, running servers needs an extra."""

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
