"""A provider's addresses: its profile's, with the blanks filled, or those that its discovery document names."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec.structs import asdict

from scopefold.scopes.profile import Endpoints, Profile

_BLANK: Final = re.compile(r"\{([a-z_]+)\}(/?)")
_WANTED: Final = {
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "identity": "userinfo_endpoint",
}


class BadParameter(ValueError):
    """A profile's parameter is missing, unknown, or has a value that does not fit; the message says which."""


class BadDiscovery(ValueError):
    """The discovery document is not the issuer's, or does not say what is needed."""


def addresses(profile: Profile, given: Mapping[str, str] | None = None) -> Endpoints:
    """The profile's endpoints with these values of its parameters, or their defaults. Raises `BadParameter`."""
    values = dict(given or {})
    if unknown := sorted(values.keys() - profile.parameters.keys()):
        known = ", ".join(profile.parameters) or "none"
        raise BadParameter(f"the profile {profile.name} has no parameter {', '.join(unknown)}; it has: {known}")
    for name, parameter in profile.parameters.items():
        value = values.setdefault(name, parameter.default or "")
        if not value:
            raise BadParameter(f"the profile {profile.name} needs the parameter {name}: {parameter.title}")
        if not re.fullmatch(parameter.pattern, value):
            raise BadParameter(f"{name}={value[:100]} does not fit. {parameter.title}; as {parameter.pattern}")
    return Endpoints(**{name: _filled(address, values) for name, address in asdict(profile.endpoints).items()})


def _filled(address: str, values: Mapping[str, str]) -> str:
    """The address with its blanks filled; no slash stands twice where a value ends in one, as issuers do."""

    def value(blank: re.Match[str]) -> str:
        return values[blank[1]].removesuffix(blank[2]) + blank[2] if blank[1] in values else blank[0]

    return _BLANK.sub(value, address)


def discovered(found: Endpoints, issuer: str, document: Mapping[str, object]) -> Endpoints:
    """The endpoints, and where they are empty those of the discovery document of this issuer.

    The document's `issuer` must be the one that was asked (RFC 8414, section 3.3; OpenID Connect Discovery 1.0,
    section 4.3); Microsoft's documents for several tenants name a template, `{tenantid}`, which stands for any.
    Raises `BadDiscovery`.
    """
    told = document.get("issuer")
    if not isinstance(told, str) or not _is_issuer(told, issuer):
        raise BadDiscovery(f"the discovery document is of another issuer than {issuer}")
    filled = asdict(found)
    for name, wanted in _WANTED.items():
        address = filled[name] or document.get(wanted) or ""
        if not isinstance(address, str) or (address and not address.startswith("https://")):
            raise BadDiscovery(f"{wanted} is no https address")
        filled[name] = address
    if not filled["authorize"] or not filled["token"]:
        raise BadDiscovery("the discovery document does not name both an authorization and a token endpoint")
    return Endpoints(**filled)


def _is_issuer(told: str, asked: str) -> bool:
    template = re.escape(told).replace(re.escape("{tenantid}"), "[^/]+")
    return re.fullmatch(template, asked) is not None
