"""Provider profiles: what one kind of identity provider is like, as data.

These are the types; the facts are in `profiles/`, which `shipped` reads. Every fact there cites the provider's own
document, or says that it was only observed or is only remembered.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from scopefold.scopes.errors import KnownError

Severity = Literal["hard", "soft"]
"""Hard: logins would break, so it is refused. Soft: it is worth a warning."""

Pattern = Annotated[str, Meta(description="A regular expression that the whole scope must match.")]


class Parameter(Struct, frozen=True, forbid_unknown_fields=True):
    """A blank in a profile's addresses, `{its name}`, filled when an IdP is registered."""

    title: str
    pattern: Annotated[str, Meta(description="What a value must look like.")]
    default: Annotated[str | None, Meta(description="Taken where none is given; absent: one must be given.")] = None
    examples: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        re.compile(self.pattern)


class Endpoints(Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses at the provider, with blanks for its parameters. Empty where there is none."""

    authorize: str = ""
    token: str = ""
    identity: str = ""
    discovery: Annotated[str, Meta(description="OpenID Connect Discovery or RFC 8414 metadata.")] = ""


class Identity(Struct, frozen=True, forbid_unknown_fields=True):
    """Which members of a JSON answer say who the user is. A dot leads into an inner object."""

    subject: str
    email: str
    name: str
    source: Annotated[
        Literal["endpoint", "id_token", "token_answer"],
        Meta(description="Where they stand: the identity endpoint's answer, the ID token, or the token answer."),
    ] = "endpoint"
    tenant_issuers: Annotated[
        bool, Meta(description="Every tenant is an issuer, named by its id; the address asked may name it otherwise.")
    ] = False
    method: Literal["GET", "POST"] = "GET"
    body: Annotated[str, Meta(description="What a POST carries, as JSON.")] = ""
    given_name: str = ""
    family_name: str = ""
    preferred_username: str = ""
    email_verified: str = ""


class Authentication(Struct, frozen=True, forbid_unknown_fields=True):
    """Which parameters of OpenID Connect Core 1.0, section 3.1.2.1, the authorize endpoint knows."""

    prompts: Annotated[
        tuple[Literal["login", "consent", "select_account"], ...], Meta(description="Values of `prompt`.")
    ] = ()
    max_age: bool = False
    login_hint: bool = False


class ScopeList(Struct, frozen=True, forbid_unknown_fields=True):
    """A list of scopes that is asked for and told by itself, because another kind of token carries it."""

    kind: str = "user"
    prefix: Annotated[str, Meta(description="Marks scopes of this list where all scopes stand together.")] = ""
    parameter: Annotated[str, Meta(description="Authorize parameter; empty: it is asked for in none.")] = "scope"
    members: Annotated[
        tuple[str, ...], Meta(description="Where a token answer tells it: the first member that is there.")
    ] = ("scope",)


class Resources(Struct, frozen=True, forbid_unknown_fields=True):
    """Scopes name a resource, as `https://graph.microsoft.com/Mail.Read` does, and a token is for one resource."""

    default: Annotated[str, Meta(description="The resource of a scope that names none, with its last slash.")]


class Family(Struct, frozen=True, forbid_unknown_fields=True):
    """Scopes of one style or one API. A scope that no table names may still match a pattern."""

    title: str
    scopes: tuple[str, ...] = ()
    pattern: Pattern = ""

    def __post_init__(self) -> None:
        re.compile(self.pattern)


class Exclusion(Struct, frozen=True, forbid_unknown_fields=True):
    """Two families that do not go together in one request."""

    families: tuple[str, str]
    severity: Severity
    why: str


class Retired(Struct, frozen=True, forbid_unknown_fields=True):
    """Scopes that a provider has given up, or whose product is at its end."""

    scopes: tuple[str, ...]
    severity: Severity
    why: str


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """How much one request may ask for."""

    scopes: Annotated[int | None, Meta(description="More scopes than this are worth a warning.")] = None
    url_length: Annotated[
        int, Meta(description="Longer addresses are refused. RFC 9110, section 4.1: expect no more than 8000 octets.")
    ] = 8000


class RefreshClock(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a refresh token lives, and what using it does. None where the provider sets no such limit."""

    idle_seconds: int | None = None
    absolute_seconds: int | None = None
    access_seconds: Annotated[int | None, Meta(description="What an access token usually lives.")] = None
    rotates: Annotated[
        Literal["never", "always", "per-app"], Meta(description="Whether using it gives a new one and ends the old.")
    ] = "never"
    leeway_seconds: Annotated[
        int | None, Meta(description="For how long the token just used may be used again: a lost answer is no loss.")
    ] = None
    obtained_by: Annotated[
        Literal["scope", "parameter", "always", "app", "never"],
        Meta(description="What makes the provider give one at all."),
    ] = "always"
    dead_errors: Annotated[
        tuple[str, ...],
        Meta(
            description="Errors that, beside `invalid_grant`, say that the refresh token is no more. `code: words` "
            "counts only where the error's description has the words."
        ),
    ] = ()
    user_errors: Annotated[
        tuple[str, ...],
        Meta(
            description="Errors that say that the user must log in again, and the refresh token lives on. In the same "
            "spelling; they are looked for before the others, so that `invalid_grant` may be one of them."
        ),
    ] = ()
    repeats_redirect_uri: Annotated[
        bool, Meta(description="A refresh must name the redirect_uri of the login again.")
    ] = False
    ends_access_token: Annotated[bool, Meta(description="Refreshing ends the access token before it.")] = False


class Revocation(Struct, frozen=True, forbid_unknown_fields=True):
    """How a token is given back. `none`: the provider documents no way.

    Where nothing else is said, a request is as RFC 7009, section 2.1, has it.
    """

    how: Literal["rfc7009", "api", "none"] = "none"
    endpoint: Annotated[
        str,
        Meta(
            description="With blanks for `{client_id}` and `{refresh_token}` as well; empty, with rfc7009: where the "
            "discovery document says."
        ),
    ] = ""
    note: str = ""
    method: Literal["POST", "DELETE"] = "POST"
    authentication: Annotated[
        Literal["client", "basic", "bearer", "none"],
        Meta(description="The app's, as at the token endpoint, or by Basic; the token itself as bearer; or none."),
    ] = "client"
    body: Literal["form", "json", "none"] = "form"
    member: Annotated[str, Meta(description="What the token is called in the body.")] = "token"
    takes: Annotated[Literal["any", "refresh", "access"], Meta(description="Which kind of token.")] = "any"
    ends: Annotated[
        Literal["token", "grant"],
        Meta(description="What ends: the token alone, or all that the user granted the app, so that one will do."),
    ] = "token"
    parts: Annotated[
        tuple[str, ...], Meta(description="Of several tokens, those that are the user's own. Empty: all are.")
    ] = ()
    gone: Annotated[
        tuple[str, ...],
        Meta(description="Errors that say there is no such token, or no more; `http_404` is the status alone."),
    ] = ()
    by_hand: Annotated[str, Meta(description="Where users remove the app themselves.")] = ""


class Probe(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to look up what a token carries, when its answer did not say."""

    endpoint: str
    tells: Annotated[str, Meta(description="Which header or member of the answer lists the scopes.")]


class SiteRules(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a token is good at several sites of a user's, and scopes hold per site."""

    path: Annotated[str, Meta(description="Where they are told, relative to the identity endpoint.")]
    api: Annotated[str, Meta(description="The API of one, relative to the same, with blanks {product} and {site}.")]
    products: Annotated[Mapping[str, Pattern], Meta(description="Product to the pattern of its scopes.")]

    def product_of(self, scope: str) -> str:
        """The product that a scope belongs to; empty where it belongs to none."""
        found = (name for name, pattern in self.products.items() if re.fullmatch(pattern, scope))
        return next(found, "")


class Profile(Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """One kind of identity provider. Compared by identity, so that answers can be kept by profile at no cost."""

    name: str
    title: str
    endpoints: Endpoints
    identity: Identity
    about: Annotated[str, Meta(description="What an operator should know, in a few sentences.")] = ""
    documents: Annotated[tuple[str, ...], Meta(description="The provider's own pages.")] = ()
    parameters: Mapping[str, Parameter] = {}
    same_scopes_as: Annotated[str, Meta(description="The profile whose connectors fit here as they are.")] = ""

    scope_lists: tuple[ScopeList, ...] = (ScopeList(),)
    request_separator: Annotated[str, Meta(description="Joins scopes in the authorize request.")] = " "
    response_separators: Annotated[str, Meta(description="Characters that part scopes in a token response.")] = " "
    token_format: Literal["form", "json"] = "form"
    client_authentication: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    pkce: Annotated[
        Literal["supported", "tolerated", "unverified"], Meta(description="What becomes of a code_challenge (S256).")
    ] = "supported"
    authorize_params: Mapping[str, str] = {}
    authentication: Authentication = Authentication()

    ignores_case: Annotated[bool, Meta(description="The provider compares scopes without regard to case.")] = False
    aliases: Annotated[Mapping[str, str], Meta(description="Other spelling to canonical spelling.")] = {}
    resources: Resources | None = None
    implies: Annotated[Mapping[str, tuple[str, ...]], Meta(description="Scope to what it also grants.")] = {}
    drops_implied: Annotated[
        bool, Meta(description="The provider drops scopes that another one implies, so they are not asked for.")
    ] = False
    unsupported: Annotated[
        frozenset[str], Meta(description="Scopes that this provider refuses; left out of requests and requirements.")
    ] = frozenset()
    virtual: Annotated[
        Mapping[str, str], Meta(description="Scope that is not reliably echoed, to the evidence that stands for it.")
    ] = {}
    directives: Annotated[
        frozenset[str], Meta(description="Words that stand in a scope's place but ask for what was consented before.")
    ] = frozenset()
    identity_scopes: Annotated[
        tuple[str, ...], Meta(description="Always requested: without them the identity endpoint refuses.")
    ] = ()
    offline_scope: Annotated[str, Meta(description="Without this scope there is no refresh token; empty: none.")] = ""
    account_wide: Annotated[
        frozenset[str] | None,
        Meta(description="Where scopes hold per site: those that do not. Absent: no scope is bound to a site."),
    ] = None

    sites: SiteRules | None = None

    families: Mapping[str, Family] = {}
    complete: Annotated[bool, Meta(description="The families name every scope that there is.")] = False
    custom_scopes: Annotated[bool, Meta(description="Whoever runs such a provider defines scopes of their own.")] = (
        False
    )
    exclusions: tuple[Exclusion, ...] = ()
    retired: tuple[Retired, ...] = ()
    limits: Limits = Limits()

    grant_update: Annotated[
        Literal["replace", "accumulate", "fixed"],
        Meta(description="What a new grant does to the one before it; fixed: the app's configuration decides."),
    ] = "replace"
    consent: Annotated[
        Literal["whole", "partial"], Meta(description="Whether users may grant less than is asked for.")
    ] = "whole"
    scope_absent: Annotated[
        Literal["unknown", "as-requested"],
        Meta(description="What a token answer without scopes means. RFC 6749, section 5.1, says: as requested."),
    ] = "unknown"
    probe: Probe | None = None
    refresh: RefreshClock = RefreshClock()
    revocation: Revocation = Revocation()
    errors: tuple[KnownError, ...] = ()

    @property
    def named_scopes(self) -> tuple[str, ...]:
        """Every scope that any table of the profile names, each once, as it is spelled there."""
        told: list[str] = [*self.identity_scopes, *self.virtual, *self.unsupported, *self.aliases]
        told += [*self.aliases.values(), *self.implies, *(self.account_wide or ())]
        told += [self.offline_scope] if self.offline_scope else []
        for scopes in (*self.implies.values(), *(family.scopes for family in self.families.values())):
            told += scopes
        for retired in self.retired:
            told += retired.scopes
        return tuple(dict.fromkeys(told))


PLAIN: Final = Profile(
    name="plain",
    title="Unknown provider",
    endpoints=Endpoints(),
    identity=Identity(subject="sub", email="email", name="name"),
)
"""Stands in where a log names a profile that this version does not ship: every scope means itself."""
