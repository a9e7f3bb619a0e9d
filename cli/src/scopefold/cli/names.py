"""What is named and is not there: told alike whether the service, the bus or segments are asked, and as a wrong use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from scopefold.cli.failure import USAGE, Failure, usage
from scopefold.consent.named import NotThere

KINDS: Final = ("unknown-idp", "unknown-connector")


@contextmanager
def names_told() -> Iterator[None]:
    """A name that is mistyped must not read as if nobody had to consent. Raises `Failure`."""
    try:
        yield
    except NotThere as error:
        raise usage(error.title, error.detail) from None
    except Failure as failure:
        if failure.problem.type.rpartition(":")[2] in KINDS:
            raise Failure(USAGE, failure.problem) from None
        raise
