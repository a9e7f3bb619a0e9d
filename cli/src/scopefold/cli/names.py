"""What is named and is not there: told alike whether the service, the bus or segments are asked, and as a wrong use."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Final

from scopefold.cli.failure import USAGE, Failure, usage
from scopefold.consent import idp_scopes
from scopefold.consent.named import NotThere, look_up
from scopefold.contracts.recorded import AsOf, Recorded

KINDS: Final = ("unknown-idp", "unknown-connector", "unknown-scope", "unknown-user")


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


def never_there(idp: str, of_idps: Iterable[Recorded], as_of: AsOf) -> str | None:
    """What to tell who found nothing of an IdP in the log, of which `of_idps` are all events that concern IdPs: that it
    never had one of this name. None: it had.

    A hint, not a refusal: the log may hold events of what nobody has registered.
    """
    scopes = reduce(idp_scopes.fold, of_idps, idp_scopes.EMPTY)
    try:
        look_up(scopes, as_of, idp=idp)
    except NotThere as error:
        return None if idp in scopes.removed else str(error)
    return None
