"""Microsoft's identity platform v2, up to the code: tenants, clouds, consent that only ever grows.

Sources: MicrosoftDocs/entra-docs (v2-oauth2-auth-code-flow, scopes-oidc, authentication-national-cloud). What is not in
them is observed or from memory, and said so. `now` is in seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from scopefold.sandbox.core import codes, grants
from scopefold.sandbox.core import microsoft_scopes as scopes_of
from scopefold.sandbox.core import state as memory
from scopefold.sandbox.core.microsoft_errors import ERRORS, page, told
from scopefold.sandbox.core.microsoft_scopes import CLOUDS, DEFAULT, Asked, Cloud, take_apart
from scopefold.sandbox.core.people import USERS, User
from scopefold.sandbox.core.sign_in import Answered, Ask, Check, ErrorPage, Refusal, ToClient, to_client
from scopefold.sandbox.core.state import App, Choice, Mint, Transaction

EARLY: Final = True
TENANT_ID: Final = "5a4db0c5-0000-4000-8000-000000000365"
TENANT_DOMAIN: Final = "sandbox.example"
CONSUMERS_ID: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant of every personal account (memory)."""

PERSONAL: Final = frozenset({"dave"})
"""Who has a personal account; the others are in the sandbox's tenant."""


class Switches(Struct, frozen=True, forbid_unknown_fields=True):
    """What is not established, what the documents and live answers have differently, and what an admin may have set."""

    multi_resource_refresh: Annotated[
        Literal["first", "refused"],
        Meta(
            title="Refresh for several resources",
            description="Not settled: the documents say a token for the first one; redeeming a code so is AADSTS28000.",
        ),
    ] = "first"
    answer_form: Annotated[
        Literal["bare", "qualified"],
        Meta(
            title="Graph's scopes in answers",
            description="Bare and with capitals (live), or qualified and in lower case (the documents' example).",
        ),
    ] = "bare"
    us_level: Annotated[
        Literal["gcc_high", "dod"],
        Meta(title="US Government level", description="Only for the US cloud: which Graph a bare scope belongs to."),
    ] = "gcc_high"
    dod_outlook_host: Annotated[
        Literal["outlook.office365.us", "webmail.apps.mil"],
        Meta(title="Outlook's host at DoD", description="Not settled. Only for the US cloud at level DoD."),
    ] = "outlook.office365.us"
    china_login_host: Annotated[
        Literal["partner.microsoftonline.cn", "chinacloudapi.cn"],
        Meta(
            title="China's login host",
            description="CONFLICT: two documents, two hosts, both live. Shown as cloud_instance_name in discovery.",
        ),
    ] = "partner.microsoftonline.cn"
    sign_in_audience: Annotated[
        Literal["AzureADandPersonalMicrosoftAccount", "AzureADMultipleOrgs", "AzureADMyOrg"],
        Meta(title="Who may use the app", description="As it is registered: everyone, all tenants, or its own tenant."),
    ] = "AzureADandPersonalMicrosoftAccount"
    consent_policy: Annotated[
        Literal["user", "admin_approval", "admin_workflow"],
        Meta(
            title="What the registration does not list",
            description="The user may consent to it, or an admin must: AADSTS90094, or 90095 with a request workflow.",
        ),
    ] = "user"
    secret_expired: Annotated[bool, Meta(title="The app's secret has expired", description="AADSTS7000222.")] = False
    refresh_needs: Annotated[
        Literal["nothing", "50076", "50078", "50079", "53003", "70043"],
        Meta(
            title="Refreshes need the user",
            description="Second factor (50076, 50078, 50079), conditional access (53003), sign-in frequency (70043).",
        ),
    ] = "nothing"


State = memory.State[Switches]


def preset(name: str, callbacks: Sequence[str], base: str) -> State:
    """A fresh state with the one registration that this cloud has."""
    return memory.preset(name, callbacks, scopes_of.everything(CLOUDS[name]), Switches(), base=base)


def cloud_of(state: State) -> Cloud:
    """The cloud that the stand-in is."""
    return CLOUDS[state.base.rpartition("/")[2]]


def graph_of(state: State) -> str:
    """The Graph that a bare scope belongs to."""
    graphs = cloud_of(state).graphs
    return graphs[-1] if state.switches.us_level == "dod" else graphs[0]


def read_scope(state: State, scope: str) -> Asked:
    """A scope parameter, taken apart."""
    return take_apart(dict.fromkeys(scope.split()), cloud_of(state), graph_of(state))


def home_of(user: User) -> str:
    """The tenant that a user belongs to."""
    return CONSUMERS_ID if user.name in PERSONAL else TENANT_ID


def object_id(user: User) -> str:
    """The user's id in the tenant."""
    return f"0b1ec700-0000-4000-8000-{user.number:012}"


def tenant_exists(state: State, tenant: str) -> bool:
    """Whether the path names a tenant that this cloud has. Only the world-wide cloud has personal accounts."""
    here = {"common", "organizations", TENANT_ID, TENANT_DOMAIN}
    if state.base.endswith("/microsoft"):
        here |= {"consumers", CONSUMERS_ID}
    return tenant in here


def metadata(state: State, tenant: str) -> dict[str, Any]:
    """What discovery says of a tenant. For the shared ones the issuer is a template (memory)."""
    base, cloud = f"{state.base}/{tenant}", cloud_of(state)
    shared = {"common": "{tenantid}", "organizations": "{tenantid}", "consumers": CONSUMERS_ID}
    issuer = f"{state.base}/{shared.get(tenant, TENANT_ID)}/v2.0"
    china = state.base.endswith("-cn")
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
        "token_endpoint": f"{base}/oauth2/v2.0/token",
        "userinfo_endpoint": f"{state.base}/oidc/userinfo",
        "jwks_uri": f"{base}/discovery/v2.0/keys",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": list(scopes_of.VIRTUAL),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "preferred_username", "tid", "email"],
        "cloud_instance_name": state.switches.china_login_host if china else cloud.instance,
        "msgraph_host": graph_of(state),
    }


def ask(state: State, asked: Transaction, *, now: float, mint: Mint) -> Ask | Refusal:
    """The consent page for what was not granted yet, all or nothing."""
    app, cloud = _app(state, asked), cloud_of(state)
    wanted = read_scope(state, asked.params["scope"])
    named = _expanded(wanted, app)
    unlisted = [scope for scope in named if scope not in app.permitted_scopes]
    if unlisted and state.switches.consent_policy != "user":
        number = 90094 if state.switches.consent_policy == "admin_approval" else 90095
        words = told(number, tenant=TENANT_DOMAIN, app=app.name)
        return ErrorPage("Need admin approval", (words,), f"The registration does not list: {', '.join(unlisted)}.")
    choices = tuple(Choice(scope, scopes_of.words_of(scope, cloud)) for scope in (*named, *wanted.virtual))
    if "consent" not in asked.prompts and grants.holds(state, app.client_id, asked.user, named):
        return give(state, asked, Answered(True, choices), now=now, mint=mint)
    return Ask(app, choices)


def give(state: State, asked: Transaction, answered: Answered, *, now: float, mint: Mint) -> Refusal:
    """What a user consented to adds up, over all resources."""
    if not answered.accepted:
        return _back(asked, 65004, error_subcode="cancel")
    named = tuple(scope for scope in answered.scopes if scope not in scopes_of.VIRTUAL)
    grant = grants.record(state, asked.params["client_id"], asked.user, named, mint=mint, adds=True)
    code = codes.issue(state, asked, grant, answered.scopes, now=now, mint=mint)
    return to_client(asked, {"code": code}, in_fragment=asked.params.get("response_mode") == "fragment")


def stray(reason: str) -> ErrorPage:
    """What a browser is shown that has no business here."""
    return ErrorPage("Sorry, but we're having trouble signing you in.", ("We received a bad request.",), reason)


def _app(state: State, asked: Transaction) -> App:
    return state.apps[asked.params["client_id"]]


def _expanded(wanted: Asked, app: App) -> tuple[str, ...]:
    """The scopes by name: .default stands for all that the registration lists of its resource."""
    found: list[str] = []
    for one in wanted.named:
        listed = sorted(scopes_of.of_resource(app.permitted_scopes, one.resource))
        found += listed if one.name == DEFAULT else [one.qualified]
    return tuple(dict.fromkeys(found))


def _back(asked: Transaction, number: int, places: Mapping[str, str] | None = None, **more: str) -> ToClient:
    """An error by redirect."""
    answer = {"error": ERRORS[number].error, "error_description": told(number, **(places or {})), **more}
    return to_client(asked, answer, in_fragment=asked.params.get("response_mode") == "fragment")


def _check_tenant(state: State, asked: Transaction) -> Refusal | None:
    if tenant_exists(state, asked.tenant):
        return None
    return page(90002, "The path names no tenant of this cloud.", tenant=asked.tenant)


def _check_client(state: State, asked: Transaction) -> Refusal | None:
    client_id = asked.params.get("client_id", "")
    if not client_id:
        return page(900144, "client_id must be sent.", name="client_id")
    if client_id in state.apps:
        return None
    return page(700016, "Registrations of another cloud are not known here.", app=client_id, tenant=asked.tenant)


def _check_audience(state: State, asked: Transaction) -> Refusal | None:
    audience, app = state.switches.sign_in_audience, _app(state, asked).client_id
    if asked.tenant in ("consumers", CONSUMERS_ID) and audience != "AzureADandPersonalMicrosoftAccount":
        return page(9002332, f"The registration's audience is {audience}.", app=app)
    if asked.tenant in ("common", "organizations") and audience == "AzureADMyOrg":
        return page(50194, f"The registration's audience is {audience}.", app=app)
    return None


def _check_callback(state: State, asked: Transaction) -> Refusal | None:
    given, app = asked.params.get("redirect_uri", ""), _app(state, asked)
    if given in app.callbacks:
        return None
    return page(50011, "It must equal one of the registration's redirect URIs.", uri=given, app=app.client_id)


def _check_parameters(_: State, asked: Transaction) -> Refusal | None:
    params = asked.params
    if asked.repeated:
        return page(900144, f"Sent more than once: {', '.join(asked.repeated)}.", name=asked.repeated[0])
    for name in ("response_type", "scope"):
        if not params.get(name, "").strip():
            return _back(asked, 900144, {"name": name})
    if params["response_type"] != "code":
        return _back(asked, 700051, {"kind": params["response_type"]})
    if params.get("code_challenge_method", "plain") not in ("plain", "S256"):
        return _back(asked, 50147)
    return None


def _check_scopes(state: State, asked: Transaction) -> Refusal | None:
    wanted, app = read_scope(state, asked.params["scope"]), _app(state, asked)
    if wanted.mixes_default:
        return _back(asked, 70011, {"scope": asked.params["scope"]})
    for one in wanted.named:
        places = {"app": app.client_id, "resource": one.resource, "tenant": TENANT_DOMAIN, "scope": one.name}
        if not resource_is_there(state, one.resource):
            return _back(asked, 500011, places)
        if not one.known:
            return _back(asked, 650053, places)
        if one.name == DEFAULT and not scopes_of.of_resource(app.permitted_scopes, one.resource):
            return _back(asked, 650057, places)
    return None


def resource_is_there(state: State, resource: str) -> bool:
    """Whether this cloud has the resource, at the level that it is switched to."""
    cloud = cloud_of(state)
    if scopes_of.permissions(resource, cloud) is None:
        return False
    if resource.removeprefix("https://") not in cloud.outlooks or len(cloud.outlooks) == 1:
        return True
    dod = state.switches.us_level == "dod"
    return resource == f"https://{state.switches.dod_outlook_host if dod else cloud.outlooks[0]}"


def _check_prompt(_: State, asked: Transaction) -> Refusal | None:
    # Nobody stays logged in at a stand-in, so that nothing can be answered without a page.
    return _back(asked, 50058) if "none" in asked.prompts else None


def _check_user(state: State, asked: Transaction) -> Refusal | None:
    if not asked.user:
        return None  # before the login
    user = USERS[asked.user]
    home, audience = home_of(user), state.switches.sign_in_audience
    everyone = audience == "AzureADandPersonalMicrosoftAccount" and state.base.endswith("/microsoft")
    allowed = {
        "common": {TENANT_ID, *((CONSUMERS_ID,) if everyone else ())},
        "organizations": {TENANT_ID},
        "consumers": {CONSUMERS_ID},
        CONSUMERS_ID: {CONSUMERS_ID},
    }
    if home in allowed.get(asked.tenant, {TENANT_ID}):
        return None
    provider = "live.com" if home == CONSUMERS_ID else f"https://sts.windows.net/{TENANT_ID}/"
    places = {"user": user.email, "provider": provider, "tenant": asked.tenant, "app": asked.params["client_id"]}
    return page(50020, "This person's account is of another kind than the tenant's.", **places)


CHECKS: Final[Sequence[Check[Switches]]] = (
    _check_tenant,
    _check_client,
    _check_audience,
    _check_callback,
    _check_parameters,
    _check_scopes,
    _check_prompt,
    _check_user,
)
