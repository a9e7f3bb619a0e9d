"""Registering an IdP: what the log says after it, or why not."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.consent.idp_scopes import State
from scopefold.contracts.codec import encode
from scopefold.contracts.events import EndpointOverrides, GroupsClaim, IdpRegistered
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES
from scopefold.contracts.words import ClientId, IdpId, ProfileName, Scopes
from scopefold.scopes.addresses import BadParameter, addresses
from scopefold.scopes.profile import Endpoints, Profile
from scopefold.scopes.shipped import profiles


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
    endpoints: EndpointOverrides = EndpointOverrides()
    groups_claim: GroupsClaim = ""


class Refused(Struct, frozen=True):
    """Why a command has no effect, and what to do."""

    kind: str
    title: str
    detail: str


def decide(state: State, command: RegisterIdp) -> IdpRegistered | Refused | None:
    """The event that registers the IdP; None where it is registered just so."""
    if command.profile not in profiles():
        known = ", ".join(profiles())
        return Refused("unknown-profile", "There is no such provider profile", f"Use one of: {known}.")
    if reserved := sorted(_OURS & command.authorize_params.keys()):
        detail = f"Scopefold sets these itself: {', '.join(reserved)}. Leave them out of authorize_params."
        return Refused("reserved-parameter", "An authorize parameter is reserved", detail)
    endpoints = _endpoints(profiles()[command.profile], command)
    if isinstance(endpoints, Refused):
        return endpoints
    event = IdpRegistered(
        idp=command.idp,
        profile=command.profile,
        client_id=command.client_id,
        base_scopes=command.base_scopes,
        authorize_params=command.authorize_params,
        endpoints=endpoints,
        groups_claim=command.groups_claim,
    )
    if len(encode(event)) > MAX_PAYLOAD_BYTES:
        detail = f"Its event would be longer than {MAX_PAYLOAD_BYTES} bytes. Name fewer scopes and parameters."
        return Refused("too-large", "The registration is too large", detail)
    registered = state.idps[command.idp].registration if command.idp in state.idps else None
    return None if registered is not None and registered.event == event else event


def _endpoints(profile: Profile, command: RegisterIdp) -> EndpointOverrides | Refused:
    """Where this IdP's addresses differ from its profile's: what the operator says, else what the parameters make.

    The log then says the addresses themselves, and no reader of it needs to know of parameters.
    """
    own = command.endpoints
    by_hand = own.authorize and own.token and (own.identity or profile.identity.source == "token_answer")
    if by_hand and not command.parameters:
        return own
    try:
        found = addresses(profile, command.parameters)
    except BadParameter as error:
        return Refused("bad-parameter", "A parameter of the profile is missing or wrong", f"{error}.")
    usual = _usual_addresses(profile)
    made = EndpointOverrides(
        authorize=own.authorize or _if_other(found.authorize, usual.authorize),
        token=own.token or _if_other(found.token, usual.token),
        identity=own.identity or _if_other(found.identity, usual.identity),
    )
    if not (made.authorize or found.authorize) or not (made.token or found.token):
        detail = f"The addresses of {profile.title} are in its discovery document, {found.discovery}. Give them: "
        detail += "endpoints.authorize, endpoints.token and endpoints.identity."
        return Refused("no-endpoints", "The provider's addresses are not known", detail)
    return made


def _usual_addresses(profile: Profile) -> Endpoints:
    try:
        return addresses(profile)
    except BadParameter:
        return Endpoints()


def _if_other(address: str, usual: str) -> str | None:
    return address if address != usual else None


_OURS = frozenset(
    {"client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"}
)
