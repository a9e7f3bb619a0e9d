"""Registering an IdP: what the log says after it, or why not."""

import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct
from msgspec.structs import asdict

from scopefold.consent.attribution import asks, base_of, more_than_fits
from scopefold.consent.idp_scopes import Idp, State
from scopefold.contracts.codec import encode
from scopefold.contracts.events import EndpointOverrides, GroupsClaim, IdpRegistered
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES
from scopefold.contracts.words import IDP_PATTERN, MAX_SCOPES, ClientId, IdpId, ProfileName, Scopes
from scopefold.scopes.addresses import (
    TENANT,
    WELL_KNOWN,
    BadDiscovery,
    BadParameter,
    Discovered,
    addresses,
    discovered,
    is_issuer,
    is_private_way,
    issuer_at,
)
from scopefold.scopes.addresses import revocation_address as usual_revocation
from scopefold.scopes.lint import lint
from scopefold.scopes.profile import Endpoints, Profile
from scopefold.scopes.shipped import profiles

_IDP: Final = re.compile(IDP_PATTERN)


def is_idp_id(text: str) -> bool:
    """Could an IdP be called so? Nothing else may become part of a subject or a key, where it could be a wildcard."""
    return _IDP.match(text) is not None


class GivenEndpoints(EndpointOverrides, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an IdP's endpoints differ from its profile's, as an operator says it: a field that there is not is refused,
    as one of an event is not.
    """


class RegisterIdp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register an identity provider, or correct how one is registered."""

    idp: IdpId
    profile: ProfileName
    client_id: ClientId
    client_secret: Annotated[str, Meta(min_length=1, max_length=1000, description="Kept sealed, never shown again.")]
    base_scopes: Scopes = ("openid", "email", "profile")
    authorize_params: dict[str, str] = {}
    parameters: Annotated[
        dict[str, str], Meta(description="Values of the profile's parameters, such as Microsoft's tenant.")
    ] = {}
    endpoints: GivenEndpoints = GivenEndpoints()
    groups_claim: GroupsClaim = ""


class Refused(Struct, frozen=True):
    """Why a command has no effect, and what to do."""

    kind: str
    title: str
    detail: str


class ToDiscover(Struct, frozen=True):
    """A discovery document to read before the IdP is registered, and the issuer that it must be of."""

    address: str
    issuer: str
    tenant_issuers: bool


def to_discover(command: RegisterIdp) -> ToDiscover | Refused | None:
    """The discovery document that `decide` needs: one that the operator names, or the only source of the addresses."""
    profile, own = profiles().get(command.profile), command.endpoints
    if profile is None or (_by_hand(profile, own) and not own.discovery and not command.parameters):
        return None
    address = own.discovery
    if address is None:
        found = _made_of_parameters(profile, command)
        if isinstance(found, Refused):
            return found
        if (own.authorize or found.authorize) and (own.token or found.token):
            return None
        address = found.discovery
    if not is_private_way(address):
        detail = f"{address[:200]} is neither https nor http on a loopback address. Give another discovery address."
        return Refused("bad-discovery", "The discovery address cannot be used", detail)
    issuer = own.issuer or issuer_at(address)
    if issuer is None:
        detail = f"{address[:200]} does not end in {WELL_KNOWN}, so it does not tell the issuer. Give endpoints.issuer."
        return Refused("bad-discovery", "The issuer is not known", detail)
    return ToDiscover(address, issuer, profile.identity.tenant_issuers)


def read_discovery(command: RegisterIdp, wanted: ToDiscover, document: Mapping[str, object]) -> Discovered | Refused:
    """What the document says, beside what the operator says."""
    own = command.endpoints
    issuer = wanted.issuer
    if own.issuer is None and document.get("issuer") == f"{issuer}/":
        issuer = f"{issuer}/"  # the address of its document is the same with a slash at its end and without
    by_operator = Endpoints(authorize=own.authorize or "", token=own.token or "", identity=own.identity or "")
    try:
        return discovered(by_operator, issuer, document, tenant_issuers=wanted.tenant_issuers)
    except BadDiscovery as error:
        detail = f"{wanted.address[:200]}: {error}. Correct the discovery address, or give endpoints.issuer."
        return Refused("bad-discovery", "The discovery document cannot be used", detail)


def decide(state: State, command: RegisterIdp, found: Discovered | None = None) -> IdpRegistered | Refused | None:
    """The event that registers the IdP; None where it is registered just so.

    `found` is what the discovery document says, where `to_discover` names one.
    """
    if command.profile not in profiles():
        known = ", ".join(profiles())
        return Refused("unknown-profile", "There is no such provider profile", f"Use one of: {known}.")
    if reserved := sorted(_OURS & command.authorize_params.keys()):
        detail = f"Scopefold sets these itself: {', '.join(reserved)}. Leave them out of authorize_params."
        return Refused("reserved-parameter", "An authorize parameter is reserved", detail)
    endpoints = _endpoints(profiles()[command.profile], command, found)
    if isinstance(endpoints, Refused):
        return endpoints
    event = IdpRegistered(
        idp=command.idp,
        profile=command.profile,
        client_id=command.client_id,
        base_scopes=command.base_scopes,
        authorize_params=command.authorize_params,
        endpoints=endpoints,
        groups_claim=command.groups_claim or UNSET,
    )
    if len(encode(event)) > MAX_PAYLOAD_BYTES:
        detail = f"Its event would be longer than {MAX_PAYLOAD_BYTES} bytes. Name fewer scopes and parameters."
        return Refused("too-large", "The registration is too large", detail)
    idp = state.idp(command.idp)
    if idp.registration is not None and idp.registration.event == event:
        return None
    return _breaks_logins(idp, event) or event


def _breaks_logins(idp: Idp, event: IdpRegistered) -> Refused | None:
    """What would newly break every login there, beside what connectors ask for: the provisioner refuses it, too.

    Of another profile, the scopes of the one before are those of another authorization server.
    """
    profile, every = profiles()[event.profile], profiles().values()
    known = {one.says for one in lint(idp.profile, asks(idp), every)}
    for finding in lint(profile, asks(idp, {base_of(idp.idp): event.base_scopes}), every):
        if finding.severity == "hard" and finding.says not in known:
            return Refused("scopes-clash", "These scopes do not go together", finding.says)
    if (asked := more_than_fits(profile, idp.union, event.base_scopes)) is not None:
        most = f"Every login at {idp.idp} would ask for {asked} scopes, and {MAX_SCOPES} is the most."
        mend = f"Name fewer base scopes, or see what nobody needs any more: scopefold idp scopes {idp.idp}."
        return Refused("too-many-scopes", "No login can ask for so many scopes", f"{most} {mend}")
    return None


def _endpoints(profile: Profile, command: RegisterIdp, found: Discovered | None) -> EndpointOverrides | Refused:
    """Where this IdP's addresses differ from its profile's: what the operator says, else the discovery document, else
    what the parameters make.

    The log then says the addresses themselves, and no reader of it needs to know of parameters.
    """
    own = command.endpoints
    if found is not None:
        made, identity = _of_document(profile, command, found), found.endpoints.identity
    elif _by_hand(profile, own) and not command.parameters:
        made, identity = EndpointOverrides(**asdict(own)), own.identity or ""
    else:
        filled = _made_of_parameters(profile, command)
        if isinstance(filled, Refused):
            return filled
        if not (own.authorize or filled.authorize) or not (own.token or filled.token):
            detail = f"The addresses of {profile.title} are in its discovery document, {filled.discovery}. Give them: "
            detail += "endpoints.authorize, endpoints.token and endpoints.identity."
            return Refused("no-endpoints", "The provider's addresses are not known", detail)
        usual = _usual_addresses(profile)
        made = EndpointOverrides(
            authorize=own.authorize or _if_other(filled.authorize, usual.authorize),
            token=own.token or _if_other(filled.token, usual.token),
            identity=own.identity or _if_other(filled.identity, usual.identity),
            discovery=own.discovery or _if_other(filled.discovery, usual.discovery),
            issuer=own.issuer,
            revocation=own.revocation,
        )
        identity = own.identity or filled.identity
    return _complete(profile, made, identity)


def _of_document(profile: Profile, command: RegisterIdp, found: Discovered) -> EndpointOverrides:
    wanted = to_discover(command)
    assert isinstance(wanted, ToDiscover), "only a document that was to be read is found"
    read, usual = found.endpoints, _usual_addresses(profile)
    return EndpointOverrides(
        authorize=_if_other(read.authorize, usual.authorize),
        token=_if_other(read.token, usual.token),
        identity=_if_other(read.identity, usual.identity) or None,
        discovery=wanted.address,
        issuer=found.issuer,
        revocation=command.endpoints.revocation,
    )


def _complete(profile: Profile, made: EndpointOverrides, identity: str) -> EndpointOverrides | Refused:
    """The addresses, unless there is no way to learn who a user is."""
    if profile.identity.source == "endpoint" and not identity:
        detail = "The discovery document names no userinfo_endpoint. Give endpoints.identity."
        return Refused("no-endpoints", "The address that tells who a user is is not known", detail)
    if profile.identity.source == "id_token" and not discovery_address(profile, made):
        detail = (
            f"Users of {profile.title} are known by their ID token, and its token address is not {profile.title}'s "
        )
        detail += "own. Give endpoints.discovery, where the keys that sign it are found."
        return Refused("no-discovery", "ID tokens could not be verified", detail)
    return made


def _by_hand(profile: Profile, own: EndpointOverrides) -> bool:
    return bool(own.authorize and own.token and (own.identity or profile.identity.source != "endpoint"))


def _made_of_parameters(profile: Profile, command: RegisterIdp) -> Endpoints | Refused:
    try:
        return addresses(profile, command.parameters)
    except BadParameter as error:
        return Refused("bad-parameter", "A parameter of the profile is missing or wrong", f"{error}.")


def discovery_address(profile: Profile, own: EndpointOverrides) -> str:
    """Where an IdP's discovery document is; empty where that is not known.

    The profile's own counts only while tokens come from the profile's own host: the keys of one host say nothing of
    tokens that another one hands out.
    """
    if own.discovery is not None:
        return own.discovery
    usual = _usual_addresses(profile)
    return "" if _is_foreign(usual, own) else usual.discovery


def revocation_address(profile: Profile, own: EndpointOverrides) -> str:
    """Where an IdP's tokens are given back, with blanks; empty where only its discovery document may tell.

    The profile's own counts only for tokens from the profile's own host: another one's are none of its business.
    """
    return own.revocation or ("" if _is_foreign(_usual_addresses(profile), own) else usual_revocation(profile))


def _is_foreign(usual: Endpoints, own: EndpointOverrides) -> bool:
    """Do tokens come from another host than the profile's?"""
    return own.token is not None and urlsplit(own.token)[:2] != urlsplit(usual.token)[:2]


def known_issuer(profile: Profile, own: EndpointOverrides) -> str | None:
    """The issuer that an IdP is known to be, perhaps by its discovery address alone."""
    return own.issuer or issuer_at(discovery_address(profile, own))


def from_another_issuer(idp: Idp, told: str | None) -> bool:
    """Whether an authorization response names another issuer than this IdP (RFC 9207, section 2.4). Many name none.

    Where only the address of its document tells the issuer, a slash at the end is not known.
    """
    assert idp.registration is not None
    profile, own = idp.profile, idp.registration.event.endpoints
    known = known_issuer(profile, own)
    if told is None or known is None:
        return False
    if TENANT in told:
        return True  # a template is what a document may name; an answer comes from one tenant
    if own.issuer is None:
        told = told.removesuffix("/")
    return not (is_issuer(known, told) or is_issuer(told, known, tenant_issuers=profile.identity.tenant_issuers))


def _usual_addresses(profile: Profile) -> Endpoints:
    try:
        return addresses(profile)
    except BadParameter:
        return Endpoints()


def _if_other(address: str, usual: str) -> str | None:
    return address if address != usual else None


_OURS = frozenset(
    {"client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge", "code_challenge_method"}
)
