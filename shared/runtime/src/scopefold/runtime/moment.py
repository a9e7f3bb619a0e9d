"""How a request names a moment of the log, and how it is told that there is none such: the same for every route."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from msgspec import Meta, Struct

from scopefold.ledger.moment import BadMoment, NoSuchMoment
from scopefold.runtime.web import ProblemError

At = Annotated[
    str,
    Meta(
        max_length=100,
        description="As it was then: a sequence of the log, an RFC 3339 time, or the id of an event.",
    ),
]


class MomentQuery(Struct, frozen=True, kw_only=True):
    """As of when; absent: now."""

    at: At | None = None


@contextmanager
def moments_told() -> Iterator[None]:
    """Tells whoever asked for a moment why there is none such. Raises `ProblemError`."""
    try:
        yield
    except BadMoment as error:
        raise ProblemError(400, "invalid-query", "The query cannot be read", f"at: {error}") from None
    except NoSuchMoment as error:
        raise ProblemError(400, "no-such-moment", "The log does not reach there", str(error)) from None
