"""A provider's addresses: its profile's, with the blanks filled, or those that its discovery document names."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import asdict

from scopefold.scopes.profile import Endpoints, Profile

_BLANK: Final = re.compile(r"\{([a-z_]+)\}(/?)")
_WANTED: Final = {
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "identity": "userinfo_endpoint",
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
WELL_KNOWN: Final = "/.well-known/openid-configuration"
TENANT: Final = "{tenantid}"
TENANT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class BadParameter(ValueError):
    """A profile's parameter is missing, unknown, or has a value that does not fit; the message says which."""


class BadDiscovery(ValueError):
    """The discovery document is not the issuer's, or does not say what is needed."""


class Discovered(Struct, frozen=True):
    """What an issuer says of itself: its name, its addresses, and where its keys are (empty: it has none).

    `tells_logouts`: it says that it sends logout tokens (OpenID Connect Back-Channel Logout 1.0, section 2.1).
    `revocation`: its `revocation_endpoint` (RFC 8414, section 2), empty where it names none that could be used.
    """

    issuer: str
    endpoints: Endpoints
    jwks: str = ""
    tells_logouts: bool = False
    revocation: str = ""


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


def revocation_address(profile: Profile) -> str:
    """Where the profile's tokens are given back; `{client_id}` and `{refresh_token}` are left as blanks. Empty where a
    parameter of the profile has no default, or it has no address.
    """
    values = {name: parameter.default or "" for name, parameter in profile.parameters.items()}
    return _filled(profile.revocation.endpoint, values) if all(values.values()) else ""


def _filled(address: str, values: Mapping[str, str]) -> str:
    """The address with its blanks filled; no slash stands twice where a value ends in one, as issuers do."""

    def value(blank: re.Match[str]) -> str:
        return values[blank[1]].removesuffix(blank[2]) + blank[2] if blank[1] in values else blank[0]

    return _BLANK.sub(value, address)


def is_private_way(address: str, *, loopback: bool = True) -> bool:
    """Whether nobody can listen or answer in between: https or, for development, http to this machine itself."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and host in _LOOPBACK)


def issuer_at(address: str) -> str | None:
    """The issuer whose document stands at this address, without a slash at its end; None where it is not told by it.

    OpenID Connect Discovery 1.0, section 4.1: the issuer, less a slash at its end, and a fixed path.
    """
    return address.removesuffix(WELL_KNOWN) if address.endswith(WELL_KNOWN) else None


def discovered(
    found: Endpoints, issuer: str, document: Mapping[str, object], *, tenant_issuers: bool = False
) -> Discovered:
    """The endpoints, and where they are empty those of the discovery document of this issuer.

    The document's `issuer` must be the one that was asked (RFC 8414, section 3.3; OpenID Connect Discovery 1.0,
    section 4.3), as `is_issuer` compares. All addresses are https; those of an issuer that is itself at http on a
    loopback address may be so too, for development. Raises `BadDiscovery`.
    """
    told = document.get("issuer")
    if not isinstance(told, str) or not is_issuer(told, issuer, tenant_issuers=tenant_issuers):
        raise BadDiscovery(f"the discovery document is of another issuer than {issuer}")
    loopback = issuer.startswith("http://")
    filled = asdict(found)
    for name, wanted in _WANTED.items():
        filled[name] = filled[name] or _address_in(document, wanted, loopback=loopback)
    if not filled["authorize"] or not filled["token"]:
        raise BadDiscovery("the discovery document does not name both an authorization and a token endpoint")
    tells_logouts = document.get("backchannel_logout_supported") is True
    jwks = _address_in(document, "jwks_uri", loopback=loopback)
    try:
        revocation = _address_in(document, "revocation_endpoint", loopback=loopback)
    except BadDiscovery:  # logins do not need it
        revocation = ""
    return Discovered(told, Endpoints(**filled), jwks, tells_logouts, revocation)


def is_issuer(told: str, asked: str, *, tenant_issuers: bool = False) -> bool:
    """Whether the two name one issuer: character by character (RFC 9207, section 2.4).

    A `{tenantid}` that is told stands for any tenant. Where every tenant is an issuer (Microsoft), a tenant's id may
    be told for the tenant's name, which is one segment of the path.
    """
    if told == asked or re.fullmatch(re.escape(told).replace(re.escape(TENANT), "[^/]+"), asked):
        return True
    if not tenant_issuers or told.count("/") != asked.count("/"):
        return False
    differ = [
        (one, other) for one, other in zip(told.split("/")[3:], asked.split("/")[3:], strict=True) if one != other
    ]
    same_host = told.split("/")[:3] == asked.split("/")[:3]
    return same_host and len(differ) == 1 and (differ[0][0] == TENANT or TENANT_ID.fullmatch(differ[0][0]) is not None)


def _address_in(document: Mapping[str, object], name: str, *, loopback: bool) -> str:
    address = document.get(name) or ""
    if not isinstance(address, str) or (address and not is_private_way(address, loopback=loopback)):
        raise BadDiscovery(f"{name} is no https address")
    return address
