"""The words that events are made of: identifiers and scopes, with their grammar and their bounds.

Each is a `str` for the type checker and a checked string for every decoder. The patterns are written so that
Python and ECMA-262 (JSON Schema) read them alike; `(?![\\s\\S])` is the end of the text, which `$` is not in
Python when the text ends with a line feed.
"""

import re
from typing import Annotated, Final, get_args

from msgspec import Meta

_END: Final = r"(?![\s\S])"

TENANT_PATTERN: Final = rf"^[a-z0-9][a-z0-9_-]{{0,62}}{_END}"
Tenant = Annotated[
    str,
    Meta(
        pattern=TENANT_PATTERN,
        description="The organisation that owns this part of the log.",
        examples=["default"],
    ),
]
IDP_PATTERN: Final = rf"^[a-z0-9][a-z0-9_-]{{0,62}}{_END}"
IdpId = Annotated[
    str,
    Meta(
        pattern=IDP_PATTERN,
        description="An identity provider, as the operator named it. It is one token of a subject.",
        examples=["atlassian"],
    ),
]
UserId = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z0-9_-]{{8,64}}{_END}",
        description="A user's opaque id: random, unrelated to any name or address.",
        examples=["u_7Jt0m1mX2bq4nV9c"],
    ),
]
ClientId = Annotated[
    str,
    Meta(
        pattern=rf"^[\x21-\x7e]{{1,255}}{_END}",
        description="An OAuth client id (RFC 6749, appendix A.1).",
        examples=["playground"],
    ),
]
ProfileName = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9-]{{0,62}}{_END}",
        description="The provider profile that says how this kind of IdP behaves.",
        examples=["atlassian"],
    ),
]
ConnectorId = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9-]{{0,62}}\.[a-z0-9][a-z0-9-]{{0,62}}{_END}",
        description="A connector: publisher and name.",
        examples=["identos.jira-user"],
    ),
]
ResourceType = Annotated[
    str,
    Meta(
        pattern=rf"^urn:connector:[a-z0-9][a-z0-9-]{{0,62}}:[a-z0-9][a-z0-9-]{{0,62}}{_END}",
        description="What a call is made to, and what is routed to an IdP.",
        examples=["urn:connector:identos:jira-user"],
    ),
]
MAX_SCOPES: Final = 300
"""Of one event: so no login may ask for more, nor one report or grant count more."""
_SCOPE_PATTERN: Final = rf"^[\x21\x23-\x5b\x5d-\x7e]{{1,255}}{_END}"
_SCOPE: Final = {
    "description": "One scope-token (RFC 6749, section 3.3), spelled as the provider spells it.",
    "examples": ["read:jira-work"],
}
Scope = Annotated[str, Meta(pattern=_SCOPE_PATTERN, **_SCOPE)]
Scopes = Annotated[
    tuple[Scope, ...],
    Meta(max_length=MAX_SCOPES, description="Scopes, in the order in which they were declared or received."),
]
Alternatives = Annotated[
    tuple[Scopes, ...],
    Meta(max_length=20, description="Lists of scopes, each of which serves in place of all upstream_scopes."),
]
SomeScopes = Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=MAX_SCOPES, description="At least one scope.")]
MeasuredScope = Annotated[
    str, Meta(min_length=1, max_length=255, extra_json_schema={"pattern": _SCOPE_PATTERN}, **_SCOPE)
]
"""A scope-token of which only the length is checked where it stands: `check_scopes` looks at the characters of many
at once. For the events of which a log is full; matching each scope by itself is half of what folding such a log costs.
"""
MeasuredScopes = Annotated[
    tuple[MeasuredScope, ...],
    Meta(max_length=MAX_SCOPES, description="Scopes, in the order in which they were declared or received."),
]
_NO_SCOPE_CHARACTER: Final = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")


def check_scopes(scopes: tuple[str, ...]) -> None:
    """Raises `ValueError` where a character stands in a scope that no scope-token has (RFC 6749, section 3.3)."""
    if _NO_SCOPE_CHARACTER.search("".join(scopes)) is not None:
        raise ValueError("a scope holds a character that no scope-token may have (RFC 6749, section 3.3)")


Url = Annotated[
    str,
    Meta(pattern=rf"^https?://[\x21-\x7e]{{1,2000}}{_END}", description="An absolute http(s) address."),
]
Fingerprint = Annotated[
    str,
    Meta(
        pattern=rf"^[A-Za-z0-9_-]{{16,64}}{_END}",
        description="A keyed hash of a token. It tells two tokens apart and nothing else.",
        examples=["mJ1zX4p0QmT1h0sS"],
    ),
]
EVENT_ID_PATTERN: Final = rf"^[A-Za-z0-9_.:-]{{8,100}}{_END}"
EventId = Annotated[
    str,
    Meta(
        pattern=EVENT_ID_PATTERN,
        description="The id of one event. Publishing it twice stores it once.",
        examples=["018f3c5e-7a34-7cc1-9d0a-0242ac120002"],
    ),
]
SERVICE_PATTERN: Final = rf"^[a-z0-9][a-z0-9-]{{0,62}}{_END}"
Service = Annotated[
    str,
    Meta(
        pattern=SERVICE_PATTERN,
        description="A service that publishes on the bus.",
        examples=["auth"],
    ),
]


_NAMED: Final = (IdpId, UserId, ClientId, ProfileName, ConnectorId, ResourceType, Scope, Fingerprint, EventId, Service)
EXAMPLES: Final[dict[str, str]] = {
    told.pattern: told.examples[0] for _, told in map(get_args, reversed(_NAMED)) if told.pattern and told.examples
}
"""By its pattern, what a word looks like: a pattern alone tells people little."""


def resource_type_of(connector: str) -> str:
    """The resource type that a connector serves: `identos.jira-user` gives `urn:connector:identos:jira-user`."""
    publisher, _, name = connector.partition(".")
    return f"urn:connector:{publisher}:{name}"
