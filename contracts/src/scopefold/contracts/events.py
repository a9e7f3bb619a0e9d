"""The events: past-tense facts, never changed once shipped.

A shipped tag keeps its meaning for ever. A new meaning is a new tag, with one upcast in `codec` and one more
file in `contracts/history`. No event carries a secret or a personal datum.
"""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from scopefold.contracts.words import (
    Alternatives,
    ClientId,
    ConnectorId,
    EventId,
    Fingerprint,
    IdpId,
    MeasuredScopes,
    ProfileName,
    ResourceType,
    Scope,
    Scopes,
    SomeScopes,
    Url,
    UserId,
    check_scopes,
)

Instant = Annotated[datetime, Meta(tz=True)]
Text = Annotated[str, Meta(max_length=300)]
AttemptId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{8,64}(?![\s\S])",
        description="One login attempt: random, and gone with it.",
        examples=["a_Zx81mQw0Lr2T"],
    ),
]


class EndpointOverrides(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where an IdP's endpoints differ from its profile's: a test instance, a proxy, a sandbox."""

    authorize: Url | None = None
    token: Url | None = None
    identity: Url | None = None
    discovery: Annotated[
        Url | None, Meta(description="The discovery document: where the other addresses and the keys are read.")
    ] = None
    issuer: Annotated[
        Url | None,
        Meta(description="The issuer as that document names it; at Microsoft `{tenantid}` stands for any tenant."),
    ] = None
    revocation: Annotated[Url | None, Meta(description="Where tokens are given back (RFC 7009).")] = None


GroupsClaim = Annotated[
    str,
    Meta(
        max_length=200,
        description="Which member of the IdP's identity answer or ID token lists a user's groups; absent: none does.",
    ),
]


class IdpRegistered(Struct, frozen=True, kw_only=True, tag="idp-registered.v1"):
    """An operator registered an identity provider. Its secret is in the vault, never here."""

    idp: IdpId
    profile: ProfileName
    client_id: ClientId
    base_scopes: Scopes = ()
    authorize_params: Annotated[
        dict[str, str], Meta(description="Authorize parameters that replace or join the profile's.")
    ] = {}
    endpoints: EndpointOverrides = EndpointOverrides()
    groups_claim: GroupsClaim | UnsetType = UNSET


class ConnectorProvisioned(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="connector-provisioned.v1"):
    """A connector now serves a resource type through an IdP, and its users need these scopes there.

    Said again for the same resource type, it replaces what that connector needs. The IdP's union grows by
    `upstream_scopes`: a grant of one of the `alternatives` serves as well, but none of them is asked for.
    """

    resource_type: ResourceType
    connector: ConnectorId
    connector_version: Annotated[str, Meta(max_length=64, examples=["1.2.0"])]
    title: Annotated[Text, Meta(description="The connector's name for people.", examples=["Jira"])]
    auth_mode: Literal["idp_passthrough"]
    idp: IdpId
    upstream_scopes: Scopes
    alternatives: Alternatives = ()


class ConnectorDeprovisioned(Struct, frozen=True, kw_only=True, tag="connector-deprovisioned.v1"):
    """A connector no longer serves its resource type. The IdP's union keeps its scopes."""

    resource_type: ResourceType
    connector: ConnectorId
    idp: IdpId


class ScopesWithheld(Struct, frozen=True, kw_only=True, tag="scopes-withheld.v1"):
    """Logins at an IdP leave these scopes out for now: since they were asked for, the IdP refuses people.

    The union keeps them, and who needs them still does.
    """

    idp: IdpId
    scopes: SomeScopes
    by: Annotated[Literal["operator", "policy"], Meta(description="Who decided it.")]
    suspect: Annotated[
        EventId | None, Meta(description="The ConnectorProvisioned that is held to have caused it, if any.")
    ] = None


class ScopesRestored(Struct, frozen=True, kw_only=True, tag="scopes-restored.v1"):
    """An operator has mended what kept an IdP from giving these scopes: everybody who lacks them is asked anew."""

    idp: IdpId
    scopes: SomeScopes


class ScopesPruned(Struct, frozen=True, kw_only=True, tag="scopes-pruned.v1"):
    """An operator took scopes out of an IdP's union that nobody wanted there any more. Nothing else shrinks a union.

    What somebody wants all the same when the log takes this stays in the union. No grant is worth less for it, and a
    connector that needs such a scope again brings it back.
    """

    idp: IdpId
    scopes: SomeScopes
    by: Annotated[Literal["operator"], Meta(description="Who decided it: nothing is pruned by itself.")]


class IdpRemoved(Struct, frozen=True, kw_only=True, tag="idp-removed.v1"):
    """An operator removed an identity provider, with the connectors that were provisioned there and all that users
    granted there: nothing of it is left to ask for.

    An IdP that is registered under the same id later begins anew.
    """

    idp: IdpId
    by: Annotated[Literal["operator"], Meta(description="Who decided it: no IdP is removed by itself.")]


class UserLoggedIn(Struct, frozen=True, kw_only=True, tag="user-logged-in.v1"):
    """A user came back from an IdP and was sent on to a client."""

    user: UserId
    idp: IdpId
    client: ClientId


class TokenStored(Struct, frozen=True, kw_only=True, tag="token-stored.v1"):
    """A user's upstream token entered the vault, replacing the one before it."""

    user: UserId
    idp: IdpId
    requested: Annotated[MeasuredScopes, Meta(description="What was asked of the IdP.")]
    granted: Annotated[
        MeasuredScopes | None,
        Meta(description="What the IdP says it granted, in its spelling; null when it did not say."),
    ]
    evidence: Annotated[
        tuple[Literal["identity", "refresh_token"], ...],
        Meta(
            max_length=8,
            description="What else the answer proved: it speaks for scopes that IdPs do not echo.",
        ),
    ]
    known_by: Annotated[
        Literal["echoed", "assumed", "probed"],
        Meta(description="How the grant is known: the IdP said so, it was taken as asked, or it was looked up."),
    ]
    cause: Literal["login", "step-up", "refresh"]
    generation: Annotated[int, Meta(ge=1, description="Counts this user's tokens at this IdP, from 1.")]
    fingerprint: Fingerprint
    predecessor: Annotated[
        Fingerprint | None, Meta(description="The fingerprint of the token that this one replaces.")
    ] = None
    access_expires_at: Instant | None = None
    idle_expires_at: Annotated[
        Instant | None, Meta(description="When the refresh token dies if it is not used before.")
    ] = None
    absolute_expires_at: Annotated[
        Instant | None, Meta(description="When the refresh token dies however much it is used.")
    ] = None

    def __post_init__(self) -> None:
        check_scopes(self.requested)
        check_scopes(self.granted or ())


class TokenInsufficient(Struct, frozen=True, kw_only=True, tag="token-insufficient.v1"):
    """A call needed `missing` for a resource type, and the user's stored token does not carry it.

    Who saw it is the publisher of the event. Any service may publish it.
    """

    user: UserId
    idp: IdpId
    resource_type: ResourceType
    missing: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=300)]
    generation: (
        Annotated[
            int,
            Meta(
                ge=1, description="The token's generation, if the caller knows it: a report on an older one is stale."
            ),
        ]
        | None
    ) = None


class TokenCleared(Struct, frozen=True, kw_only=True, tag="token-cleared.v1"):
    """A user's upstream token is of no use any more, and left the vault: only another consent brings one."""

    user: UserId
    idp: IdpId
    generation: Annotated[int, Meta(ge=1, description="The token that was cleared, as its TokenStored counts it.")]
    reason: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z-]{0,39}(?![\s\S])",
            description="operator, user: who wanted it; expired: it lay unused or grew older than the provider allows; "
            "raced: its refresh token had been used before; lost: so it may have been, by a refresh whose answer never "
            "came to be stored; revoked: the provider refuses it for no such cause. There may be more.",
            examples=["revoked"],
        ),
    ]


class ConsentDeclined(Struct, frozen=True, kw_only=True, tag="consent-declined.v1"):
    """The user said no on the IdP's consent page."""

    attempt: AttemptId
    idp: IdpId
    client: ClientId
    user: UserId | None = None
    requested: Scopes


class AuthorizationFailed(Struct, frozen=True, kw_only=True, tag="authorization-failed.v1"):
    """The IdP, or the way back from it, failed before a token could be stored."""

    attempt: AttemptId
    idp: IdpId
    client: ClientId
    user: UserId | None = None
    requested: Scopes
    stage: Annotated[
        Literal["authorize", "token", "identity"], Meta(description="Which step of the upstream flow failed.")
    ]
    error: Annotated[
        str,
        Meta(
            pattern=r"^[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}(?![\s\S])",
            description="The OAuth error code (RFC 6749, section 5.2), or one of our own where there is none.",
            examples=["server_error"],
        ),
    ]
    diagnosis: (
        Annotated[
            str,
            Meta(
                pattern=r"^[a-z0-9][a-z0-9.-]{0,79}(?![\s\S])",
                description="What it was taken for when it happened: the id of a diagnosis.",
                examples=["atlassian.scope-not-on-app"],
            ),
        ]
        | UnsetType
    ) = UNSET


class GrantRevoked(Struct, frozen=True, kw_only=True, tag="grant-revoked.v1"):
    """What a client was granted by one authorization ended before its time, with every token that came of it.

    It says nothing of the user's upstream token.
    """

    user: UserId
    idp: IdpId
    client: ClientId
    grant: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{22,64}(?![\s\S])",
            description="The authorization, as the tokens of it name it. It is no secret and finds nothing.",
            examples=["3q2-7wAAq83vEjRWeJq83g"],
        ),
    ]
    reason: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z-]{0,39}(?![\s\S])",
            description="code-reused, refresh-token-reused: what is good for one use came twice, so somebody may have "
            "a copy; client: the client gave it back. There may be more.",
            examples=["refresh-token-reused"],
        ),
    ]


class UserErased(Struct, frozen=True, kw_only=True, tag="user-erased.v1"):
    """All that was kept of a user here is gone, and can be read by nobody: one such event for each IdP that knew them.

    The user id stands for nobody any more. Whoever logs in with the same account later is another user.
    """

    user: UserId
    idp: IdpId


Event: TypeAlias = (
    IdpRegistered
    | ConnectorProvisioned
    | ConnectorDeprovisioned
    | ScopesWithheld
    | ScopesRestored
    | ScopesPruned
    | IdpRemoved
    | UserLoggedIn
    | TokenStored
    | TokenInsufficient
    | TokenCleared
    | ConsentDeclined
    | AuthorizationFailed
    | GrantRevoked
    | UserErased
)


def tag_of(event_type: type[Struct]) -> str:
    """The tag of an event type, such as `token-stored.v1`."""
    tag = event_type.__struct_config__.tag
    assert isinstance(tag, str), f"{event_type.__name__} has no tag"
    return tag


def name_of(event_type: type[Struct]) -> str:
    """The event's name: its tag without the version. It is the last token of its subjects."""
    return tag_of(event_type).partition(".")[0]
