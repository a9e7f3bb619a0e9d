"""The made-up people who have an account at every stand-in."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct


class User(Struct, frozen=True):
    """A person. `number` is small and theirs alone, so that each stand-in can make an account id of its own form."""

    name: str
    number: int
    display_name: str

    @property
    def email(self) -> str:
        """An address at a domain that can never exist (RFC 2606)."""
        return f"{self.name}@sandbox.example"

    @property
    def groups(self) -> tuple[str, ...]:
        """What the directory says: everybody is staff, and leads a team of their own."""
        return ("staff", f"team-{self.name}")

    @property
    def given_name(self) -> str:
        """The first of the names."""
        return self.display_name.partition(" ")[0]

    @property
    def family_name(self) -> str:
        """The last of the names."""
        return self.display_name.rpartition(" ")[2]


USERS: Final[Mapping[str, User]] = {
    user.name: user
    for user in (
        User("alice", 1, "Alice Arden"),
        User("bob", 2, "Bob Brandt"),
        User("carol", 3, "Carol Castell"),
        User("dave", 4, "Dave Duras"),
    )
}
