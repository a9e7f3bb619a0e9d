"""A request as Authlib reads it, and the two ways in which a wrong one is answered."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from authlib.oauth2.rfc6749 import OAuth2Payload, OAuth2Request, UnsupportedResponseTypeError

MAX_RESOURCES: Final = 10
MOST_REMEMBERED: Final = 512
"""Characters of one parameter as it came, the meaning of which is kept in memory."""
MOST_FIELDS: Final = 50
_ALIKE: Final = ("redirect_uri=", "scope=", "resource=", "grant_type=", "subject_token_type=")
_UNSAYABLE: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")


class Payload(OAuth2Payload):  # type: ignore[misc]
    """The parameters of a request, each given once."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._data = dict(parameters)

    @property
    def data(self) -> dict[str, str]:
        return self._data

    @property
    def datalist(self) -> dict[str, list[str]]:
        return {name: [value] for name, value in self._data.items()}


class GrammarRequest(OAuth2Request):  # type: ignore[misc]
    """Authlib checks the address it is given for https; that is a matter of the issuer's settings, checked there."""

    def __init__(self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(method, "https://authorization-server.invalid/", headers=headers)
        self.payload = Payload(parameters)

    @property
    def args(self) -> dict[str, str]:
        return dict(self.payload.data)

    @property
    def form(self) -> dict[str, str]:
        return dict(self.payload.data) if self.method == "POST" else {}


def sayable(wrong: object) -> str:
    """What an `error_description` may say (RFC 6749, sections 4.1.2.1 and 5.2), and a quoted string of a header too:
    descriptions repeat what was sent.
    """
    return _UNSAYABLE.sub("?", str(wrong))


class ShownError(Exception):
    """A wrong request that must be shown here: there is no place that it could safely be redirected to."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


class RedirectedError(Exception):
    """A wrong or refused request that the client is told of, at its registered redirect address."""

    def __init__(self, redirect_uri: str, error: str, description: str, parameters: Mapping[str, str]) -> None:
        super().__init__(description)
        self.redirect_uri = redirect_uri
        self.error = error
        self.description = sayable(description)
        self.parameters = dict(parameters)

    @property
    def state(self) -> str | None:
        """What the client wants back."""
        return self.parameters.get("state")


def single_parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name. Raises `ShownError` where one is given twice (RFC 6749, section 3.1).

    Several resources become one text, parted by spaces: see `oauth.resource`.
    """
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if name == "resource":  # the one parameter that may come again, with another value (RFC 8707, section 2)
            one = value.replace(" ", "%20")
            given = parameters["resource"].split(" ") if "resource" in parameters else []
            if len(given) == MAX_RESOURCES:
                raise ShownError("invalid_request", f"At most {MAX_RESOURCES} resources can be asked for at once.")
            if one not in given:
                parameters["resource"] = " ".join([*given, one])
                continue
        if name in parameters:
            raise ShownError("invalid_request", f"The parameter {name[:60]!r} is given more than once.")
        parameters[name] = value
    return parameters


def query_parameters(query: bytes) -> dict[str, str]:
    """The parameters of a query string. Raises `ShownError`."""
    return single_parameters(_pairs(query.decode("latin-1")))


def form_parameters(body: bytes) -> dict[str, str]:
    """The parameters of a form body. Raises `ShownError`."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ShownError("invalid_request", "The body is no form.") from None
    if text.count("&") >= MOST_FIELDS:
        raise ShownError("invalid_request", f"The body has more than {MOST_FIELDS} fields.")
    return single_parameters(_pairs(text))


def _pairs(text: str) -> list[tuple[str, str]]:
    """As `parse_qsl`, blank values kept: most of what is sent needs no decoding, or is what was sent before."""
    pairs: list[tuple[str, str]] = []
    for piece in text.split("&"):
        if "%" not in piece and "+" not in piece:
            name, _, value = piece.partition("=")
            pairs += [(name, value)] if piece else []
        elif piece.startswith(_ALIKE) and len(piece) <= MOST_REMEMBERED:
            pairs += _read_before(piece)
        else:
            pairs += _read(piece)
    return pairs


def _read(piece: str) -> list[tuple[str, str]]:
    return parse_qsl(piece, keep_blank_values=True)


_read_before: Final = lru_cache(maxsize=1024)(_read)
"""What an app sends for each of its users alike. What tells one user or login from another is not kept."""


def told(error: Any, parameters: Mapping[str, str]) -> ShownError | RedirectedError:
    """Authlib's error as one of ours: only where a registered redirect address is certain is the client told."""
    description = str(error.get_error_description() or error.error or "")
    if isinstance(error, UnsupportedResponseTypeError):
        description = "The response_type must be code."  # Authlib puts a whole sentence where the type belongs
    if error.redirect_uri:
        return RedirectedError(error.redirect_uri, error.error, description, parameters)
    return ShownError(error.error, description)
