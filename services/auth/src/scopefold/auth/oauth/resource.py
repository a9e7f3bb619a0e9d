"""Resource indicators (RFC 8707): whom an access token is for.

Several values of `resource` are kept as one text, parted by spaces, since no URI holds one.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from authlib.oauth2.rfc6749 import OAuth2Error

from scopefold.auth.oauth.loaded import Loaded

CONNECTORS: Final = "urn:connector:"
RESOURCE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9+.\-]*:[\x21\x22\x24-\x7e]{1,500}\Z"
_ABSOLUTE: Final = re.compile(RESOURCE_PATTERN)


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The resource is unknown, malformed, or was not granted (RFC 8707, section 2)."""

    error = "invalid_target"
    status_code = 400


def is_resource(text: str) -> bool:
    """Is it an absolute URI without a fragment, as section 2 has it?"""
    return _ABSOLUTE.search(text) is not None


def is_connectors(resource: str) -> bool:
    """Is it a connector's resource type, whether or not the connector is provisioned now?"""
    return resource.startswith(CONNECTORS)


def resources_of(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The resources that a request names."""
    return tuple(parameters["resource"].split(" ")) if "resource" in parameters else ()


def resources_in(loaded: Loaded, parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The same, where this issuer's own name may end with a slash, as URL libraries write addresses."""
    named = resources_of(parameters)
    return tuple(dict.fromkeys(loaded.issuer if one == f"{loaded.issuer}/" else one for one in named))


class ResourceIndicators:
    """Authlib's extension for every grant: `Loaded.audience` is what the token is for; empty is this issuer.

    A code or a refresh token that was given for certain resources, or for none, can be narrowed and never widened.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.check_authorization_request)
        grant.register_hook("after_validate_token_request", self.check_token_request)

    def check_authorization_request(self, grant: Any, _: object) -> None:
        """Every resource must be one that this client may ask for."""
        self._check(resources_in(self._loaded, grant.request.payload.data))

    def check_token_request(self, grant: Any, _: object) -> None:
        """What is asked must have been granted; who asks for nothing gets everything that was granted, as far as the
        client may still ask for it.
        """
        asked, bound = resources_in(self._loaded, grant.request.payload.data), self._loaded.bound
        self._check(asked)
        if bound is None:
            self._loaded.audience = asked
            return
        granted = bound.resources or (self._loaded.issuer,)
        if not set(asked) <= set(granted):
            raise InvalidTargetError("The token was not granted for this resource.")
        still = tuple(one for one in bound.resources if self._knows(one))
        if bound.resources and not still:
            raise InvalidTargetError("Nothing is left of the resources that the token was granted for.")
        self._loaded.audience = asked or still

    def _knows(self, resource: str) -> bool:
        own = self._loaded.client.resources if self._loaded.client else ()
        return resource in (self._loaded.issuer, *own) or resource in self._loaded.connectors

    def _check(self, asked: tuple[str, ...]) -> None:
        if not all(is_resource(one) for one in asked):
            raise InvalidTargetError("A resource must be an absolute URI without a fragment.")
        if unknown := [one for one in asked if not self._knows(one)]:
            kind = "connector is provisioned for" if is_connectors(unknown[0]) else "client knows"
            raise InvalidTargetError(f"No {kind} the resource that was asked for.")
