"""Every module of the plans has its twin, and no twin has a name that the suite does not know."""

from types import ModuleType

from tests.conformance import (
    test_backchannel_logout,
    test_basic,
    test_basic_requests,
    test_config,
    test_rp_initiated_logout,
)

TWINS = (test_basic, test_basic_requests, test_config, test_rp_initiated_logout, test_backchannel_logout)
LOGOUT = "rp-initiated-logout"
MODULES = {
    "oidcc-basic-certification-test-plan": """
        server response-type-missing idtoken-signature idtoken-unsigned userinfo-get userinfo-post-header
        userinfo-post-body ensure-request-without-nonce-succeeds-for-code-flow scope-profile scope-email scope-address
        scope-phone scope-all alternate-happy-flow display-page display-popup prompt-login prompt-none-not-logged-in
        prompt-none-logged-in max-age-1 max-age-10000 ensure-request-with-unknown-parameter-succeeds id-token-hint
        login-hint ui-locales claims-locales ensure-request-with-acr-values-succeeds codereuse codereuse-30seconds
        ensure-registered-redirect-uri ensure-post-request-succeeds server-client-secret-post
        request-uri-unsigned-supported-correctly-or-rejected-as-unsupported
        unsigned-request-object-supported-correctly-or-rejected-as-unsupported claims-essential
        ensure-request-object-with-redirect-uri refresh-token ensure-request-with-valid-pkce-succeeds
    """,
    "oidcc-config-certification-test-plan": "discovery-endpoint-verification",
    "oidcc-rp-initiated-logout-certification-test-plan": f"""
        {LOGOUT}-discovery-endpoint-verification {LOGOUT} {LOGOUT}-bad-post-logout-redirect-uri
        {LOGOUT}-modified-id-token-hint {LOGOUT}-no-id-token-hint {LOGOUT}-no-params
        {LOGOUT}-no-post-logout-redirect-uri {LOGOUT}-no-state {LOGOUT}-only-state
        {LOGOUT}-query-added-to-post-logout-redirect-uri {LOGOUT}-bad-id-token-hint
    """,
    "oidcc-backchannel-rp-initiated-logout-certification-test-plan": """
        backchannel-logout-discovery-endpoint-verification backchannel-rp-initiated-logout
    """,
}


def twins_of(module: ModuleType) -> set[tuple[str, str]]:
    return {
        (module.PLAN, name.removeprefix("test_oidcc_").replace("_", "-"))
        for name in vars(module)
        if name.startswith("test_")
    }


def test_every_module_has_one_twin() -> None:
    wanted = {(plan, name) for plan, names in MODULES.items() for name in names.split()}
    found = [twin for module in TWINS for twin in twins_of(module)]
    assert wanted == set(found)
    assert len(wanted) == len(found)
