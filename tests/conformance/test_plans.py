"""Every module of the plans has its twin, and no twin has a name that the suite does not know."""

from types import ModuleType

from tests.conformance import (
    test_backchannel_logout,
    test_basic,
    test_basic_requests,
    test_config,
    test_dynamic,
    test_fapi2,
    test_fapi2_tokens,
    test_rp_initiated_logout,
)
from tests.conformance.__main__ import module_of

TWINS = (
    test_basic,
    test_basic_requests,
    test_config,
    test_rp_initiated_logout,
    test_backchannel_logout,
    test_dynamic,
    test_fapi2,
    test_fapi2_tokens,
)
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
    "oidcc-dynamic-certification-test-plan": """
        server idtoken-rs256 idtoken-unsigned userinfo-rs256 ensure-redirect-uri-in-authorization-request
        redirect-uri-query-OK redirect-uri-query-mismatch redirect-uri-query-added redirect-uri-regfrag
        discovery-endpoint-verification registration-logo-uri registration-policy-uri registration-tos-uri
        registration-jwks-uri registration-sector-uri registration-sector-bad server-rotate-keys
        refresh-token-rp-key-rotation request-uri-unsigned request-uri-signed-rs256
        ensure-request-object-with-redirect-uri refresh-token ensure-client-assertion-with-iss-aud-succeeds
    """,
    # Plain FAPI with private_key_jwt, DPoP, OpenID Connect and unsigned requests, and beside that what other profiles
    # demand of the redirect address, and of a request_uri in a request object.
    "fapi2-security-profile-final-test-plan": """
        discovery-end-point-verification happy-flow user-rejects-authentication
        ensure-authorization-request-without-state-success ensure-authorization-request-without-nonce-success
        ensure-authorization-request-with-64-char-nonce-success ensure-authorization-request-with-long-nonce
        ensure-authorization-request-with-long-state ensure-other-scope-order-succeeds
        test-claims-parameter-identity-claims access-token-type-header-case-sensitivity check-dpop-proof-nbf-exp
        ensure-dpopproof-with-iat-10seconds-before-succeeds ensure-dpopproof-with-iat-10seconds-after-succeeds
        ensure-mismatched-dpop-jkt-fails ensure-token-endpoint-fails-with-mismatched-dpop-proof-jkt
        ensure-token-endpoint-fails-with-mismatched-dpop-jkt ensure-dpopproof-at-par-endpoint-binding-success
        ensure-dpop-auth-code-binding-success ensure-different-nonce-inside-and-outside-request-object
        ensure-different-state-inside-and-outside-request-object state-only-outside-request-object-not-used
        ensure-request-object-without-redirect-uri-fails ensure-registered-redirect-uri
        plain-fapi-tolerate-unregistered-redirect-uri ensure-unsigned-authorization-request-without-using-par-fails
        ensure-redirect-uri-in-authorization-request ensure-response-type-code-idtoken-fails
        ensure-response-type-token-fails ensure-client-id-in-token-endpoint ensure-holder-of-key-required
        ensure-authorization-code-is-bound-to-client attempt-reuse-authorization-code-after-one-second
        ensure-token-endpoint-fails-with-expired-auth-code ensure-signed-client-assertion-with-RS256-fails
        ensure-client-assertion-in-token-endpoint ensure-client-assertion-with-exp-is-5-minutes-in-past-fails
        ensure-client-assertion-with-wrong-aud-fails ensure-client-assertion-with-no-sub-fails dpop-negative-tests
        refresh-token par-ensure-reused-request-uri-prior-to-auth-completion-succeeds par-attempt-reuse-request_uri
        par-attempt-to-use-expired-request_uri par-attempt-to-use-request_uri-for-different-client
        par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted
        par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails
        par-authorization-request-containing-request_uri par-authorization-request-containing-request_uri-form-param
        par-attempt-invalid-http-method par-ensure-pkce-required ensure-pkce-code-verifier-required
        incorrect-pkce-code-verifier-rejected par-plain-pkce-rejected par-without-duplicate-parameters
        par-test-array-as-audience-fails par-test-par-endpoint-url-as-audience-fails
        par-test-token-endpoint-url-as-audience-fails
    """,
}


def twins_of(module: ModuleType) -> set[tuple[str, str]]:
    return {(module.PLAN, module_of(name).removeprefix("oidcc-")) for name in vars(module) if name.startswith("test_")}


def test_every_module_has_one_twin() -> None:
    wanted = {(plan, name) for plan, names in MODULES.items() for name in names.split()}
    found = [twin for module in TWINS for twin in twins_of(module)]
    assert wanted == set(found)
    assert len(wanted) == len(found)
