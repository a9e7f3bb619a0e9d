"""What is known of an error: how it is met, why it happens, who can mend it and how.

The facts are data: a provider's own in `profiles/`, all others in `errors.toml`. `diagnosis` finds them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

Basis = Literal["confirmed", "observed", "memory", "inference"]
"""How well a fact stands: the provider's own word, a third party's report, remembered only, or deduced."""

Where = Literal["page", "redirect", "token", "refresh", "identity", "api", "app"]
"""On the provider's own page, on the way back from it, in an answer to a request of ours, or in an app behind us."""

Who = Literal["user", "operator", "provider-admin", "nobody"]
"""Who can mend it. Nobody: it passes by itself."""

PROSE_BLANKS: Final = frozenset({"idp", "provider"})
PASTE_BLANKS: Final = frozenset({"callback", "client_id", "connector", "idp", "missing", "requested", "resource_type"})
_BLANK: Final = re.compile(r"(?<!\$)\{([^{}]*)\}")
"""Not `${...}`, which is a blank of the program that it is pasted into."""


class Sign(Struct, frozen=True, forbid_unknown_fields=True):
    """One way in which an error is met. What is not said may be anything."""

    where: Where | None = None
    error: Annotated[str, Meta(description="The OAuth error code, or a code of ours.")] = ""
    text: Annotated[str, Meta(description="A part of the wording that tells it from others.")] = ""
    status: Annotated[int | None, Meta(description="The HTTP status; one digit stands for its hundred: 5 is 5xx.")] = (
        None
    )


class Paste(Struct, frozen=True, forbid_unknown_fields=True):
    """A value to paste, and where it goes. Among the facts it may have blanks, `{callback}`; in a diagnosis none."""

    label: str
    value: str


class KnownError(Struct, frozen=True, forbid_unknown_fields=True):
    """An error, its likely cause and its remedy. Prose may have the blanks `{idp}` and `{provider}`."""

    id: Annotated[
        str,
        Meta(pattern=r"^[a-z0-9.-]{1,80}\Z", description="Kept in the log: it never changes, nor what it stands for."),
    ]
    met: Annotated[tuple[Sign, ...], Meta(min_length=1)]
    cause: str
    who: Who
    how: str
    basis: Basis
    what: Annotated[str, Meta(description="What happened; empty: what `where` says.")] = ""
    paste: tuple[Paste, ...] = ()
    also: Annotated[tuple[str, ...], Meta(description="Further causes worth a look.")] = ()
    not_if: Annotated[
        Mapping[str, str], Meta(description="Authorize parameters: a request that had them failed for another cause.")
    ] = {}

    def __post_init__(self) -> None:
        prose = (self.what, self.cause, self.how, *self.also, *(paste.label for paste in self.paste))
        unknown = {blank for text in prose for blank in blanks(text)} - PROSE_BLANKS
        unknown |= {blank for paste in self.paste for blank in blanks(paste.value)} - PASTE_BLANKS
        if unknown:
            raise ValueError(f"{self.id} has blanks that nothing fills: {', '.join(sorted(unknown))}")


def blanks(text: str) -> Iterator[str]:
    """The names of the blanks in a text."""
    return (found[1] for found in _BLANK.finditer(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """The text with its blanks filled; one that has no value stays."""
    return _BLANK.sub(lambda blank: values.get(blank[1], blank[0]), text)
