"""How a command ends when it cannot do what it was asked: one problem, one line, one exit code."""

from typing import Final

from msgspec import Struct

from scopefold.contracts.commands import Problem

REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 3


class Failure(Exception):
    """The command ends here. `exit_code` is REFUSED, USAGE or UNREACHABLE; `problem` says what to do about it."""

    def __init__(self, exit_code: int, problem: Problem) -> None:
        super().__init__(problem.title)
        self.exit_code = exit_code
        self.problem = problem

    def __str__(self) -> str:
        return one_line(self.problem)


class Told(Struct, frozen=True):
    """A kind of failure that this command itself finds, before or instead of a service's answer."""

    exit_code: int
    kind: str
    status: int

    def __call__(self, title: str, detail: str = "") -> Failure:
        """The failure, for people."""
        return Failure(
            self.exit_code,
            Problem(type=f"urn:scopefold:problem:{self.kind}", title=title, status=self.status, detail=detail),
        )


usage: Final = Told(USAGE, "usage", 400)
refused: Final = Told(REFUSED, "refused", 409)
unreachable: Final = Told(UNREACHABLE, "unreachable", 503)
defect: Final = Told(REFUSED, "defect", 500)


def one_line(problem: Problem) -> str:
    """The problem's title, detail and errors on one line."""
    text = f"{problem.title}: {problem.detail}" if problem.detail else problem.title
    return " ".join("; ".join((text, *problem.errors)).split())
