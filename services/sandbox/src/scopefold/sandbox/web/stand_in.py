"""One stand-in, as everything that serves it knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from scopefold.sandbox.core.console import app_of
from scopefold.sandbox.core.state import App, Mint, State
from scopefold.sandbox.web.keys import Keys

S = TypeVar("S", bound=Struct)


@dataclass(frozen=True)
class StandIn(Generic[S]):
    """A stand-in below `/{name}` for a brand. `now` is in seconds since 1970."""

    name: str
    brand: str
    state: State[S]
    now: Callable[[], float]
    mint: Mint
    keys: Keys

    @property
    def prefix(self) -> str:
        """The path that everything of it begins with."""
        return f"/{self.name}"

    @property
    def app(self) -> App:
        """The one app that it knows."""
        return app_of(self.state)
