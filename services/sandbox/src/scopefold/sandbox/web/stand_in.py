"""One stand-in, as everything that serves it knows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from scopefold.sandbox.core.state import Mint, State
from scopefold.sandbox.web.keys import Keys

S = TypeVar("S", bound=Struct)


@dataclass(frozen=True)
class StandIn(Generic[S]):
    """A stand-in below `/{name}` for a brand, reached at `address`. `now` is in seconds since 1970."""

    name: str
    brand: str
    state: State[S]
    address: str
    now: Callable[[], float]
    mint: Mint
    keys: Keys

    @property
    def prefix(self) -> str:
        """The path that everything of it begins with."""
        return f"/{self.name}"

    @property
    def base(self) -> str:
        """Its address, without a slash at its end."""
        return f"{self.address}{self.prefix}"
