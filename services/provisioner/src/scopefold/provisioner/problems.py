"""Every refusal and every failure of the log as one problem (RFC 9457), alike over HTTP and over NATS."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from scopefold.contracts.commands import Problem
from scopefold.ledger.append import AppendRefused, LogFull
from scopefold.ledger.log import LogNotDeclared, LogUnavailable
from scopefold.provisioner.core.decide import Answer, Refused
from scopefold.provisioner.provisioning import Contended
from scopefold.runtime.web import ProblemError


def _retry_after(seconds: int) -> dict[str, str]:
    return {"retry-after": str(seconds)}


FAILURES: Final[Mapping[type[Exception], Callable[[str], ProblemError]]] = {
    LogUnavailable: lambda why: ProblemError(
        503, "log-unavailable", "The log cannot be reached", f"{why}. Try again.", headers=_retry_after(2)
    ),
    LogNotDeclared: lambda why: ProblemError(
        503, "log-not-declared", "The log does not exist yet", f"{why}.", headers=_retry_after(5)
    ),
    Contended: lambda why: ProblemError(
        503, "contended", "Others were faster too often", f"{why}. Try again.", headers=_retry_after(1)
    ),
    LogFull: lambda why: ProblemError(
        507, "log-full", "The log has no room left", f"{why}. Give it more; nothing was lost.", headers=_retry_after(60)
    ),
    AppendRefused: lambda why: ProblemError(500, "append-refused", "The log refused the event", f"{why}."),
}
"""How each failure of the log is told. None of them is a fault of the request."""


def problem_of(error: Exception) -> ProblemError:
    """How a failure is told; a failure that no one foresaw is told without its details."""
    if isinstance(error, ProblemError):
        return error
    for kind, tell in FAILURES.items():
        if isinstance(error, kind):
            return tell(str(error).rstrip("."))
    return ProblemError(500, "failure", "Something failed on our side", "It was logged. Try again.")


def refusal(refused: Refused) -> ProblemError:
    """A refusal of the core, as it is told."""
    return ProblemError(refused.status, refused.kind, refused.title, refused.detail)


def granted(outcome: Answer | Refused) -> Answer:
    """The answer. Raises `ProblemError` where the command was refused."""
    if isinstance(outcome, Refused):
        raise refusal(outcome)
    return outcome


def as_struct(error: ProblemError) -> Problem:
    """The problem as it travels inside an answer over NATS."""
    return msgspec.convert(error.body, Problem)
