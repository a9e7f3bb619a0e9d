"""What auth and the provisioner answer, as far as people read it. Commands print the rest as it came (--json)."""

from datetime import datetime

from msgspec import Struct

from scopefold.consent.reconsent import Row
from scopefold.consent.tallies import Tally
from scopefold.contracts.commands import ManagedResource
from scopefold.contracts.events import EndpointOverrides
from scopefold.contracts.recorded import AsOf, Cause


class ConnectorAtIdp(Struct, frozen=True):
    """A connector that is provisioned at an IdP."""

    resource_type: str
    connector: str
    version: str
    title: str
    upstream_scopes: tuple[str, ...]
    cause: Cause


class TrialAtIdp(Struct, frozen=True):
    """What was newly asked for, and with which nobody has come through yet."""

    connector: str
    scopes: tuple[str, ...]
    failed: int
    suspect: bool
    last_error: str


class InVain(Struct, frozen=True):
    """A scope that users were asked for and did not give."""

    scope: str
    users_without: int
    users_with: int
    why: str


class Idp(Struct, frozen=True):
    """An IdP: how it was registered, and what its users are asked for."""

    idp: str
    profile: str
    client_id: str
    base_scopes: tuple[str, ...]
    authorize_params: dict[str, str]
    endpoints: EndpointOverrides
    union: tuple[str, ...]
    requested: tuple[str, ...]
    callback: str
    backchannel_logout: str
    connectors: tuple[ConnectorAtIdp, ...]
    withheld: tuple[str, ...]
    trials: tuple[TrialAtIdp, ...]
    in_vain: tuple[InVain, ...]


class IdpLine(Struct, frozen=True):
    """An IdP in a list."""

    idp: str
    profile: str
    client_id: str
    union: tuple[str, ...]


class Idps(Struct, frozen=True):
    """All IdPs."""

    items: tuple[IdpLine, ...]


class ListedRow(Row, frozen=True):
    """One user on the worklist, and by scope why the grant lacks it and what comes next."""

    why: dict[str, str] = {}
    asked_from: datetime | None = None
    next_steps: dict[str, str] = {}


class Worklist(Struct, frozen=True):
    """One page of who must consent again; `next` continues it."""

    as_of: AsOf
    total: int
    unknown: int
    items: tuple[ListedRow, ...]
    next: str | None = None


class Counts(Struct, frozen=True):
    """The worklist, counted."""

    as_of: AsOf
    total: int
    items: tuple[Tally, ...]


class AnyOf(Struct, frozen=True):
    """Lists of scopes of which any one serves; users are asked for the first."""

    any_of: tuple[tuple[str, ...], ...]


class Passthrough(Struct, frozen=True):
    """What a connector's users need where every call acts as the signed-in user."""

    upstream_scopes: tuple[str, ...] | AnyOf


class Link(Struct, frozen=True):
    """Where to read more."""

    title: str
    url: str


class AuthOptions(Struct, frozen=True):
    """How calls of a connector may be authenticated; None: not in this way."""

    idp_passthrough: Passthrough | None = None


class Manifest(Struct, frozen=True):
    """A connector that can be provisioned."""

    connector: str
    version: str
    title: str
    description: str
    profiles: tuple[str, ...]
    auth: AuthOptions
    notes: tuple[str, ...]
    links: tuple[Link, ...]

    @property
    def lists(self) -> tuple[tuple[str, ...], ...]:
        """The lists of scopes of which its users need one, the one first that they are asked for."""
        if self.auth.idp_passthrough is None:
            return ()
        scopes = self.auth.idp_passthrough.upstream_scopes
        return scopes.any_of if isinstance(scopes, AnyOf) else (scopes,)


class Manifests(Struct, frozen=True):
    """All connectors that can be provisioned."""

    items: tuple[Manifest, ...]


class ManagedResources(Struct, frozen=True):
    """All connectors that are provisioned."""

    items: tuple[ManagedResource, ...]


class Client(Struct, frozen=True, omit_defaults=True):
    """A registered client; its secret is told once."""

    client_id: str
    client_secret: str | None = None


class Key(Struct, frozen=True):
    """A signing key of the auth service."""

    kid: str
    alg: str
    state: str
    since: datetime


class Keys(Struct, frozen=True):
    """All of them."""

    items: tuple[Key, ...]


class Rotation(Struct, frozen=True):
    """A rotation of the vault's keys, and how far it is."""

    kind: str
    state: str
    passes: int
    replaced: int
    left: int
    unreadable: int
    resume_at: datetime | None = None


class VaultKeys(Struct, frozen=True):
    """What the vault is sealed with."""

    sealing: str
    wanted: str
    in_use: tuple[str, ...]
    rotation: Rotation | None = None


class ClientLine(Struct, frozen=True):
    """A registered client, as it is listed and shown."""

    client_id: str
    client_name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...]
    scopes: tuple[str, ...]
    token_endpoint_auth_method: str
    application_type: str
    require_pkce: bool
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    jwks_uri: str | None
    resource_server: bool
    exchange_resources: tuple[str, ...]
    origin: str


class Clients(Struct, frozen=True):
    """All registered clients."""

    items: tuple[ClientLine, ...]


class InitialAccess(Struct, frozen=True):
    """Leave to register clients; told once."""

    initial_access_token: str


class TokenOf(Struct, frozen=True):
    """A token, by whose it is and where."""

    user: str
    idp: str


class ClearedTokens(Struct, frozen=True):
    """Tokens that were cleared, or would be."""

    tokens: int
    users: int
    items: tuple[TokenOf, ...]
    next: str | None
    revoked: dict[str, int] = {}
    unknown: tuple[str, ...] = ()


class RemovedIdp(Struct, frozen=True):
    """What went with an identity provider, or would go."""

    idp: str
    removed: bool
    tokens: int
    sessions: int | None
    connectors: tuple[str, ...]
    must_consent: int
    revoked: dict[str, int]
    next: int | None
