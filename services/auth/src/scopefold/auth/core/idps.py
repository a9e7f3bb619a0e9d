"""Registering an IdP: what the log says after it, or why not."""

from typing import Annotated

from msgspec import Meta, Struct

from scopefold.consent.idp_scopes import State
from scopefold.contracts.codec import encode
from scopefold.contracts.events import EndpointOverrides, IdpRegistered
from scopefold.contracts.recorded import MAX_PAYLOAD_BYTES
from scopefold.contracts.words import ClientId, IdpId, ProfileName, Scopes
from scopefold.scopes.profile import profiles


class RegisterIdp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register an identity provider, or correct how one is registered."""

    idp: IdpId
    profile: ProfileName
    client_id: ClientId
    client_secret: Annotated[str, Meta(min_length=1, max_length=1000, description="Kept sealed, never shown again.")]
    base_scopes: Scopes = ("openid", "email", "profile")
    authorize_params: dict[str, str] = {}
    endpoints: EndpointOverrides = EndpointOverrides()


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
    event = IdpRegistered(
        idp=command.idp,
        profile=command.profile,
        client_id=command.client_id,
        base_scopes=command.base_scopes,
        authorize_params=command.authorize_params,
        endpoints=command.endpoints,
    )
    if len(encode(event)) > MAX_PAYLOAD_BYTES:
        detail = f"Its event would be longer than {MAX_PAYLOAD_BYTES} bytes. Name fewer scopes and parameters."
        return Refused("too-large", "The registration is too large", detail)
    registered = state.idps[command.idp].registration if command.idp in state.idps else None
    return None if registered is not None and registered.event == event else event


_OURS = frozenset(
    {"client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method"}
)
