"""What programs send to a stand-in's token endpoint, and what they are answered there and at its API."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct


class TokenRequest(Struct, frozen=True):
    """A token request. `basic` is the client's id and secret from the Authorization header, if they were there."""

    body: Mapping[str, str]
    basic: tuple[str, str] | None = None

    @property
    def credentials(self) -> tuple[str, str]:
        """Client id and secret: from the header, else from the body."""
        return self.basic or (self.body.get("client_id", ""), self.body.get("client_secret", ""))


class Answer(Struct, frozen=True):
    """A JSON answer.

    `identity` are the claims of an id_token that is still to be signed, with `algorithm`, and added.
    """

    body: Mapping[str, Any] | Sequence[Any]
    status: int = 200
    identity: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = {}
    algorithm: Literal["RS256", "ES256"] = "RS256"

    @property
    def members(self) -> Mapping[str, Any]:
        """The body, if it is an object; nothing if it is a list."""
        return self.body if isinstance(self.body, Mapping) else {}


def refused(status: int, error: str, description: str, **more: Any) -> Answer:
    """A refusal in the form of RFC 6749, section 5.2."""
    return Answer({"error": error, "error_description": description, **more}, status)
