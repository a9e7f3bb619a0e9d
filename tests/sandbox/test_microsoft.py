"""The Microsoft stand-ins, over HTTP: tenants, clouds, one resource a token, answers that say more than was asked."""

from base64 import urlsafe_b64decode
from typing import Any

import msgspec
import pytest

from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import STATE, VERIFIER, Place, Walk, json_of, query_of, text_of

TENANT = "5a4db0c5-0000-4000-8000-000000000365"
CONSUMERS = "9188040d-6c67-4c5b-b112-36a304b66dad"
GRAPH, OUTLOOK = "https://graph.microsoft.com", "https://outlook.office.com"
IMAP = f"{OUTLOOK}/IMAP.AccessAsUser.All"


def at(name: str, tenant: str = "common") -> Place:
    return Place(name, f"/{tenant}/oauth2/v2.0/authorize", f"/{tenant}/oauth2/v2.0/token")


@pytest.fixture
async def microsoft(walk_at: WalkAt) -> Walk:
    return await walk_at(at("microsoft"))


def claims_in(token: dict[str, Any]) -> dict[str, Any]:
    payload = token["id_token"].split(".")[1]
    found: dict[str, Any] = msgspec.json.decode(urlsafe_b64decode(payload + "=="))
    return found


@pytest.mark.parametrize("way", ["client_secret_basic", "client_secret_post"])
async def test_a_foreign_oauth_client_signs_in_calls_graph_and_refreshes(microsoft: Walk, way: str) -> None:
    said = json_of(await microsoft.http.get("/microsoft/common/v2.0/.well-known/openid-configuration"))
    assert f"{microsoft.base}/microsoft/{{tenantid}}/v2.0" == said["issuer"]
    async with microsoft.client(
        scope="openid email offline_access User.Read", token_endpoint_auth_method=way
    ) as client:
        address, state = client.create_authorization_url(
            said["authorization_endpoint"], code_verifier=VERIFIER, nonce="the-nonce"
        )
        back = (await microsoft.through(address)).headers["location"]
        token = await client.fetch_token(
            said["token_endpoint"], authorization_response=back, state=state, code_verifier=VERIFIER
        )
        expected = ("User.Read openid profile email", "Bearer", 3599)
        assert expected == (token["scope"], token["token_type"], token["expires_in"])
        claims = claims_in(token)
        assert (TENANT, f"{microsoft.base}/microsoft/{TENANT}/v2.0", "the-nonce", "sandbox-microsoft") == (
            claims["tid"],
            claims["iss"],
            claims["nonce"],
            claims["aud"],
        )
        me = (await client.get(microsoft.url("/v1.0/me"))).json()
        assert ("alice@sandbox.example", claims["oid"]) == (me["mail"], me["id"])
        assert claims["sub"] == (await client.get(said["userinfo_endpoint"])).json()["sub"]
        first = token["refresh_token"]
        renewed = await client.refresh_token(said["token_endpoint"], refresh_token=first)
        assert renewed["refresh_token"] != first
        # The one used is not revoked.
        assert 200 == (await microsoft.renewed(first)).status_code


ON_THE_PAGE = [
    ("an unknown app", "common", {"client_id": "nobody"}, "AADSTS700016: Application with identifier 'nobody'"),
    ("an app of another cloud", "common", {"client_id": "sandbox-microsoft-us"}, "AADSTS700016"),
    ("no app", "common", {"client_id": None}, "must contain the following parameter: 'client_id'"),
    ("another redirect_uri", "common", {"redirect_uri": "https://evil.example/"}, "AADSTS50011: The redirect URI"),
    ("no redirect_uri", "common", {"redirect_uri": None}, "AADSTS50011"),
    ("an unknown tenant", "contoso.example", {}, "AADSTS90002: Tenant 'contoso.example' not found."),
]


@pytest.mark.parametrize(
    ("tenant", "changed", "words"), [row[1:] for row in ON_THE_PAGE], ids=[row[0] for row in ON_THE_PAGE]
)
async def test_a_request_of_nobody_or_to_nowhere_ends_on_microsofts_page(
    walk_at: WalkAt, tenant: str, changed: dict[str, str | None], words: str
) -> None:
    walk = await walk_at(at("microsoft", tenant))
    answer = await walk.http.get(walk.authorize_address("openid", **changed))
    assert (400, True) == (answer.status_code, words in text_of(answer))
    assert "location" not in answer.headers


TOLD = [
    ("no scope", {"scope": None}, "invalid_request", 900144),
    ("no response_type", {"response_type": None}, "invalid_request", 900144),
    ("the implicit flow", {"response_type": "token"}, "unsupported_response_type", 700051),
    (".default beside names", {"scope": f"{GRAPH}/.default User.Read"}, "invalid_scope", 70011),
    ("a scope that Graph lacks", {"scope": "Mail.Eat"}, "invalid_client", 650053),
    ("a scope of another cloud", {"scope": "https://graph.microsoft.us/User.Read"}, "invalid_resource", 500011),
    ("a resource that nobody has", {"scope": "api://nobody/read"}, "invalid_resource", 500011),
    ("no page", {"prompt": "none"}, "login_required", 50058),
    ("an unknown challenge", {"code_challenge": "c", "code_challenge_method": "S512"}, "invalid_request", 50147),
]


@pytest.mark.parametrize(("changed", "error", "number"), [row[1:] for row in TOLD], ids=[row[0] for row in TOLD])
async def test_another_bad_request_is_told_to_the_client(
    microsoft: Walk, changed: dict[str, str | None], error: str, number: int
) -> None:
    answer = await microsoft.http.get(microsoft.authorize_address("openid", **changed))
    told = query_of(answer.headers["location"])
    assert (error, STATE) == (told["error"], told["state"])
    assert told["error_description"].startswith(f"AADSTS{number}: ")


async def test_a_user_who_declines_is_sent_back(microsoft: Walk) -> None:
    answer = await microsoft.through(microsoft.authorize_address("User.Read"), decision="cancel")
    told = query_of(answer.headers["location"])
    assert ("access_denied", "AADSTS65004: User declined to consent to access the app.") == (
        told["error"],
        told["error_description"],
    )


async def test_the_answer_comes_in_the_fragment_if_it_is_asked_for_there(microsoft: Walk) -> None:
    answer = await microsoft.through(microsoft.authorize_address("User.Read", response_mode="fragment"))
    assert answer.headers["location"].startswith(f"{microsoft.redirect_uri}#code=")


CODE = {"grant_type": "authorization_code"}
PROVEN = {**CODE, "code_verifier": VERIFIER}
REFRESH = {"grant_type": "refresh_token"}
REFUSED = [
    ("a wrong secret", {**CODE, "client_secret": "guess"}, 401, "invalid_client", 7000215),
    ("no secret", {**CODE, "client_secret": ""}, 401, "invalid_client", 7000218),
    ("an unknown app", {**CODE, "client_id": "nobody"}, 400, "unauthorized_client", 700016),
    ("no app", {**CODE, "client_id": ""}, 400, "invalid_request", 900144),
    ("no grant", {}, 400, "invalid_request", 900144),
    ("another grant", {"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ("no code", {**CODE, "code": ""}, 400, "invalid_request", 900144),
    ("a code that never was", {**CODE, "code": "guess"}, 400, "invalid_grant", 70000),
    ("another redirect_uri", {**CODE, "redirect_uri": "https://evil.example/"}, 400, "invalid_grant", 500112),
    ("no verifier", CODE, 400, "invalid_grant", 501481),
    ("a wrong verifier", {**CODE, "code_verifier": "w" * 50}, 400, "invalid_grant", 501481),
    ("several resources", {**PROVEN, "scope": f"User.Read {IMAP}"}, 400, "invalid_request", 28000),
    ("an empty scope", {**PROVEN, "scope": " "}, 400, "invalid_request", 28003),
    ("more than was consented to", {**PROVEN, "scope": "Mail.Send"}, 400, "invalid_grant", 65001),
    ("no refresh token", REFRESH, 400, "invalid_request", 900144),
    ("a refresh token that never was", {**REFRESH, "refresh_token": "guess"}, 400, "invalid_grant", 70000),
]  # fmt: skip
CHALLENGE = {"code_challenge": VERIFIER, "code_challenge_method": "plain"}


@pytest.mark.parametrize(
    ("body", "status", "error", "number"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
async def test_a_bad_token_request_is_refused_with_its_number(
    microsoft: Walk, body: dict[str, str], status: int, error: str, number: int
) -> None:
    code = await microsoft.code(f"User.Read {IMAP}", **CHALLENGE)
    answer = await microsoft.swap({"code": code, **body})
    told = answer.json()
    assert (status, error, [number]) == (answer.status_code, told["error"], told["error_codes"])
    assert told["error_description"].startswith(f"AADSTS{number}: ")
    for name in ("Trace ID: " + told["trace_id"], "Correlation ID: " + told["correlation_id"]):
        assert name in told["error_description"]
    assert f"{microsoft.base}/microsoft/error?code={number}" == told["error_uri"]


async def test_a_code_serves_once_and_the_refusal_says_so(microsoft: Walk) -> None:
    code = await microsoft.code("User.Read")
    assert 200 == (await microsoft.swap({**CODE, "code": code})).status_code
    assert [54005] == (await microsoft.swap({**CODE, "code": code})).json()["error_codes"]


async def test_a_code_serves_only_at_its_own_tenants_path(microsoft: Walk, walk_at: WalkAt) -> None:
    elsewhere = await walk_at(at("microsoft", "organizations"))
    home = await walk_at(at("microsoft", TENANT))
    code = await microsoft.code("User.Read")
    assert [700005] == (await elsewhere.swap({**CODE, "code": code})).json()["error_codes"]
    assert 200 == (await home.swap({**CODE, "code": await microsoft.code("User.Read")})).status_code


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("user.read MAIL.READ", "User.Read Mail.Read openid profile email"),
        (f"{GRAPH}/Mail.Read offline_access", "Mail.Read openid profile email"),
        (f"{GRAPH}/offline_access openid", "openid profile email"),
        (f"openid profile {IMAP}", IMAP),
        ("https://outlook.office365.com/imap.accessasuser.all", IMAP),
        (f"{IMAP} User.Read", IMAP),
        ("User.Read " + IMAP, "User.Read openid profile email"),
        (f"{OUTLOOK}/.default", " ".join(f"{OUTLOOK}/{name}" for name in ("IMAP.AccessAsUser.All", "Mail.Read",
                                         "POP.AccessAsUser.All", "SMTP.Send"))),
    ],
)  # fmt: skip
async def test_scopes_are_answered_for_one_resource_in_its_own_spelling(
    microsoft: Walk, asked: str, answered: str
) -> None:
    assert answered == (await microsoft.tokens(asked))["scope"]


async def test_offline_access_is_never_echoed_and_its_refresh_token_proves_it(microsoft: Walk) -> None:
    assert "refresh_token" not in await microsoft.tokens("User.Read")
    token = await microsoft.tokens("User.Read offline_access")
    assert ("refresh_token" in token, "offline_access" in token["scope"]) == (True, False)
    assert ("id_token" in token, "id_token" in await microsoft.tokens("openid")) == (False, True)


async def test_the_answer_has_earlier_consents_in_it(microsoft: Walk) -> None:
    await microsoft.tokens("Calendars.ReadWrite")
    expected = "Calendars.ReadWrite Calendars.Read openid profile email"
    assert expected == (await microsoft.tokens("Calendars.Read"))["scope"]


async def test_one_refresh_token_serves_every_resource_consented_to(microsoft: Walk) -> None:
    token = await microsoft.tokens(f"User.Read {IMAP} offline_access")
    renewed = json_of(await microsoft.renewed(token["refresh_token"], scope=IMAP))
    assert IMAP == renewed["scope"]
    # A token is for one resource: Graph does not take Outlook's.
    answer = await microsoft.api("GET", "/v1.0/me", renewed["access_token"])
    assert (401, "Access token validation failure. Invalid audience.") == (
        answer.status_code,
        answer.json()["error"]["message"],
    )
    refused = await microsoft.renewed(token["refresh_token"], scope="Mail.Send")
    assert ([65001], "consent_required") == (refused.json()["error_codes"], refused.json()["suberror"])


async def test_a_refresh_for_several_resources_goes_as_the_switch_says(microsoft: Walk) -> None:
    token = (await microsoft.tokens(f"User.Read {IMAP} offline_access"))["refresh_token"]
    assert IMAP == json_of(await microsoft.renewed(token, scope=f"{IMAP} User.Read"))["scope"]
    await microsoft.set("switches", multi_resource_refresh="refused")
    assert [28000] == (await microsoft.renewed(token, scope=f"{IMAP} User.Read")).json()["error_codes"]


async def test_a_revoked_grant_is_dead(microsoft: Walk) -> None:
    token = await microsoft.tokens("User.Read offline_access")
    await microsoft.revoke("alice")
    assert [50173] == (await microsoft.renewed(token["refresh_token"])).json()["error_codes"]
    assert 401 == (await microsoft.api("GET", "/v1.0/me", token["access_token"])).status_code


@pytest.mark.parametrize(
    ("asked", "path", "status", "code"),
    [
        ("Mail.Read", "/v1.0/me", 403, "Authorization_RequestDenied"),
        ("User.Read", "/v1.0/me/messages", 403, "ErrorAccessDenied"),
        ("Mail.Read", "/v1.0/me/messages", 200, None),
        ("Mail.ReadWrite", "/v1.0/me/messages", 200, None),
    ],
)
async def test_graph_wants_its_scope_and_takes_the_one_that_writes_too(
    microsoft: Walk, asked: str, path: str, status: int, code: str | None
) -> None:
    answer = await microsoft.api("GET", path, (await microsoft.tokens(asked))["access_token"])
    assert (status, code) == (answer.status_code, answer.json().get("error", {}).get("code"))


async def test_what_was_granted_is_not_asked_again_unless_the_client_insists(microsoft: Walk) -> None:
    await microsoft.tokens("User.Read")
    assert 303 == (await microsoft.log_in(microsoft.authorize_address("User.Read"))).status_code
    assert 200 == (await microsoft.log_in(microsoft.authorize_address("User.Read Mail.Read"))).status_code
    assert 200 == (await microsoft.log_in(microsoft.authorize_address("User.Read", prompt="consent"))).status_code


TENANTS = [
    ("common", "alice", None),
    ("common", "dave", None),
    ("organizations", "alice", None),
    ("organizations", "dave", "AADSTS50020"),
    ("consumers", "dave", None),
    ("consumers", "alice", "AADSTS50020"),
    (CONSUMERS, "dave", None),
    (TENANT, "alice", None),
    (TENANT, "dave", "AADSTS50020"),
    ("sandbox.example", "alice", None),
]


@pytest.mark.parametrize(("tenant", "user", "refusal"), TENANTS)
async def test_a_tenant_lets_its_own_people_in(walk_at: WalkAt, tenant: str, user: str, refusal: str | None) -> None:
    walk = await walk_at(at("microsoft", tenant))
    answer = await walk.through(walk.authorize_address("openid"), user)
    if refusal is None:
        code = query_of(answer.headers["location"])["code"]
        claims = claims_in(json_of(await walk.swap({**CODE, "code": code})))
        assert (CONSUMERS if user == "dave" else TENANT) == claims["tid"]
    else:
        assert (400, True) == (answer.status_code, refusal in text_of(answer))


AUDIENCES = [
    ("AzureADMyOrg", "common", "AADSTS50194"),
    ("AzureADMyOrg", "organizations", "AADSTS50194"),
    ("AzureADMyOrg", "consumers", "AADSTS9002332"),
    ("AzureADMultipleOrgs", "consumers", "AADSTS9002332"),
]


@pytest.mark.parametrize(("audience", "tenant", "refusal"), AUDIENCES)
async def test_a_path_that_the_registration_is_not_for_is_refused(
    walk_at: WalkAt, audience: str, tenant: str, refusal: str
) -> None:
    walk = await walk_at(at("microsoft", tenant))
    await walk.set("switches", sign_in_audience=audience)
    assert refusal in text_of(await walk.http.get(walk.authorize_address("openid")))


CLOUDS = [
    ("microsoft", {}, "User.Read", "graph.microsoft.com"),
    ("microsoft-us", {}, "User.Read", "graph.microsoft.us"),
    ("microsoft-us", {"us_level": "dod"}, "User.Read", "dod-graph.microsoft.us"),
    ("microsoft-us", {}, "https://outlook.office365.us/IMAP.AccessAsUser.All", "graph.microsoft.us"),
    ("microsoft-us", {"us_level": "dod"}, "https://outlook.office365.us/SMTP.Send", "dod-graph.microsoft.us"),
    (
        "microsoft-us",
        {"us_level": "dod", "dod_outlook_host": "webmail.apps.mil"},
        "https://webmail.apps.mil/SMTP.Send",
        "dod-graph.microsoft.us",
    ),
    ("microsoft-cn", {}, "https://partner.outlook.cn/IMAP.AccessAsUser.All", "microsoftgraph.chinacloudapi.cn"),
]


@pytest.mark.parametrize(("name", "switched", "asked", "graph"), CLOUDS)
async def test_each_cloud_has_its_own_resources(
    walk_at: WalkAt, name: str, switched: dict[str, str], asked: str, graph: str
) -> None:
    walk = await walk_at(at(name))
    await walk.set("switches", **switched)
    said = json_of(await walk.http.get(f"/{name}/common/v2.0/.well-known/openid-configuration"))
    assert graph == said["msgraph_host"]
    assert asked.rpartition("/")[2] in (await walk.tokens(asked))["scope"]


async def test_a_host_that_the_level_lacks_is_no_resource(walk_at: WalkAt) -> None:
    walk = await walk_at(at("microsoft-us"))
    answer = await walk.http.get(walk.authorize_address("https://webmail.apps.mil/SMTP.Send"))
    assert "AADSTS500011" in query_of(answer.headers["location"])["error_description"]


async def test_another_cloud_has_no_personal_accounts(walk_at: WalkAt) -> None:
    walk = await walk_at(at("microsoft-us"))
    assert "AADSTS50020" in text_of(await walk.log_in(walk.authorize_address("openid"), "dave"))
    consumers = await walk_at(at("microsoft-us", "consumers"))
    assert "AADSTS90002" in text_of(await consumers.http.get(consumers.authorize_address("openid")))


@pytest.mark.parametrize("host", ["partner.microsoftonline.cn", "chinacloudapi.cn"])
async def test_chinas_login_host_is_as_the_switch_says(walk_at: WalkAt, host: str) -> None:
    walk = await walk_at(at("microsoft-cn"))
    await walk.set("switches", china_login_host=host)
    said = json_of(await walk.http.get("/microsoft-cn/common/v2.0/.well-known/openid-configuration"))
    assert host == said["cloud_instance_name"]


async def test_discovery_of_an_unknown_tenant_is_refused(microsoft: Walk) -> None:
    answer = await microsoft.http.get("/microsoft/nobody/v2.0/.well-known/openid-configuration")
    assert (400, "invalid_tenant") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize(("policy", "number"), [("admin_approval", 90094), ("admin_workflow", 90095)])
async def test_what_the_registration_lacks_needs_an_admin_if_the_policy_says_so(
    microsoft: Walk, policy: str, number: int
) -> None:
    await microsoft.lack(f"{GRAPH}/Mail.Send")
    assert "Mail.Send" in (await microsoft.tokens("Mail.Send"))["scope"]  # dynamic consent
    await microsoft.set("switches", consent_policy=policy)
    shown = text_of(await microsoft.log_in(microsoft.authorize_address("Mail.Send"), "bob"))
    assert ("Need admin approval" in shown, f"AADSTS{number}" in shown) == (True, True)


async def test_default_of_a_resource_that_the_registration_lacks_is_refused(microsoft: Walk) -> None:
    settings = (await microsoft.settings())["app"]
    await microsoft.lack(*(scope for scope in settings["permitted_scopes"] if scope.startswith(OUTLOOK)))
    answer = await microsoft.http.get(microsoft.authorize_address(f"{OUTLOOK}/.default"))
    assert "AADSTS650057" in query_of(answer.headers["location"])["error_description"]


@pytest.mark.parametrize(
    ("switched", "number"),
    [
        ({"secret_expired": True}, 7000222),
        *(({"refresh_needs": str(one)}, one) for one in (50076, 50078, 50079, 53003, 70043)),
    ],
)
async def test_the_token_endpoints_switches_hold(microsoft: Walk, switched: dict[str, Any], number: int) -> None:
    token = await microsoft.tokens("User.Read offline_access")
    await microsoft.set("switches", **switched)
    assert [number] == (await microsoft.renewed(token["refresh_token"])).json()["error_codes"]


async def test_graphs_scopes_may_come_qualified_and_in_lower_case(microsoft: Walk) -> None:
    await microsoft.set("switches", answer_form="qualified")
    assert f"{GRAPH}/mail.read" == (await microsoft.tokens("Mail.Read"))["scope"]
