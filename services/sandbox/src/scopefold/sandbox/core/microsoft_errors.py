"""Microsoft's errors: AADSTS numbers with their words, OAuth errors and statuses, and the JSON that carries them.

Sources: MicrosoftDocs/entra-docs reference-error-codes and v2-oauth2-auth-code-flow for the numbers and their meaning;
many words and OAuth errors are observed or from memory. Microsoft says never to react to the description.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from msgspec import Struct

from scopefold.sandbox.core.answers import Answer
from scopefold.sandbox.core.sign_in import ErrorPage
from scopefold.sandbox.core.state import Mint


class Error(Struct, frozen=True):
    """An error of Microsoft's: the OAuth error, the words with places to fill, the HTTP status, the suberror."""

    error: str
    words: str
    status: int = 400
    suberror: str = ""


ERRORS: Final[Mapping[int, Error]] = {
    28000: Error(
        "invalid_request",
        "Provided value for the input parameter scope is not valid because it contains more than one resource. "
        "Scope {scope} is not valid.",
    ),
    28003: Error(
        "invalid_request",
        "Provided value for the input parameter scope can't be empty when requesting an access token using the "
        "provided authorization code. Please specify a valid scope.",
    ),
    50011: Error(
        "invalid_request",
        "The redirect URI '{uri}' specified in the request does not match the redirect URIs configured for the "
        "application '{app}'. Make sure the redirect URI sent in the request matches one added to your application in "
        "the Azure portal.",
    ),
    50020: Error(
        "access_denied",
        "User account '{user}' from identity provider '{provider}' does not exist in tenant '{tenant}' and cannot "
        "access the application '{app}' in that tenant.",
    ),
    50058: Error("login_required", "A silent sign-in request was sent but no user is signed in."),
    50076: Error(
        "invalid_grant",
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "use multi-factor authentication to access '{app}'.",
        suberror="basic_action",
    ),
    50078: Error(
        "invalid_grant",
        "Presented multi-factor authentication has expired due to policies configured by your administrator, you must "
        "refresh your multi-factor authentication to access '{app}'.",
        suberror="basic_action",
    ),
    50079: Error(
        "invalid_grant",
        "Due to a configuration change made by your administrator, or because you moved to a new location, you must "
        "enroll in multi-factor authentication to access '{app}'.",
        suberror="basic_action",
    ),
    50147: Error("invalid_request", "The code_challenge or its method is not valid."),
    50173: Error(
        "invalid_grant",
        "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might have "
        "changed or reset their password.",
        suberror="bad_token",
    ),
    50194: Error(
        "invalid_request",
        "Application '{app}' is not configured as a multi-tenant application. Usage of the /common endpoint is not "
        "supported for such apps created after '10/15/2018'. Use a tenant-specific endpoint or configure the "
        "application to be multi-tenant.",
    ),
    53003: Error(
        "invalid_grant",
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
        suberror="message_only",
    ),
    54005: Error(
        "invalid_grant",
        "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing "
        "refresh token.",
    ),
    65001: Error(
        "invalid_grant",
        "The user or administrator has not consented to use the application with ID '{app}'. Send an interactive "
        "authorization request for this user and resource.",
        suberror="consent_required",
    ),
    65004: Error("access_denied", "User declined to consent to access the app."),
    70000: Error("invalid_grant", "Provided grant is invalid or malformed."),
    70003: Error("unsupported_grant_type", "The app requested an unsupported grant type '{kind}'."),
    70008: Error(
        "invalid_grant",
        "The provided authorization code or refresh token has expired due to inactivity. Send a new interactive "
        "authorization request for this user and resource.",
    ),
    70011: Error(
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        "'scope' is not valid. The scope {scope} is not valid. .default scope can't be combined with resource-specific "
        "scopes.",
    ),
    70043: Error(
        "invalid_grant",
        "The refresh token has expired or is invalid due to sign-in frequency checks by conditional access.",
        suberror="bad_token",
    ),
    90002: Error(
        "invalid_request",
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    90094: Error("access_denied", "An administrator of {tenant} has set a policy that prevents you from granting "
                 "{app} the permissions that it is requesting."),
    90095: Error("access_denied", "Admin consent is required. Your request for approval can be sent to your admin."),
    500011: Error(
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You might have sent your authentication request to the wrong tenant.",
    ),
    500112: Error(
        "invalid_grant",
        "The reply address '{uri}' does not match the reply address provided when requesting Authorization code.",
    ),
    501481: Error(
        "invalid_grant", "The Code_Verifier does not match the code_challenge supplied in the authorization request."
    ),
    650053: Error(
        "invalid_client",
        "The application '{app}' asked for scope '{scope}' that doesn't exist on the resource '{resource}'. Contact "
        "the app vendor.",
    ),
    650057: Error(
        "invalid_resource",
        "Invalid resource. The client has requested access to a resource which is not listed in the requested "
        "permissions in the client's application registration. Client app ID: {app}. Resource value from request: "
        "{resource}.",
    ),
    700005: Error(
        "invalid_grant", "Provided Authorization Code is intended to use against other tenant, thus rejected."
    ),
    700016: Error(
        "unauthorized_client",
        "Application with identifier '{app}' was not found in the directory '{tenant}'. This can happen if the "
        "application has not been installed by the administrator of the tenant or consented to by any user in the "
        "tenant. You may have sent your authentication request to the wrong tenant.",
    ),
    700051: Error(
        "unsupported_response_type", "The response_type '{kind}' is not enabled for the application."
    ),
    700082: Error(
        "invalid_grant",
        "The refresh token has expired due to inactivity. The token was issued on {issued} and was inactive for "
        "90.00:00:00.",
        suberror="bad_token",
    ),
    900144: Error("invalid_request", "The request body must contain the following parameter: '{name}'."),
    7000215: Error(
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not "
        "the client secret ID, for a secret added to app '{app}'.",
        401,
    ),
    7000218: Error(
        "invalid_client",
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        401,
    ),
    7000222: Error(
        "invalid_client",
        "The provided client secret keys for app '{app}' are expired. Visit the Azure portal to create new keys for "
        "your app.",
        401,
    ),
    9002332: Error(
        "invalid_request",
        "Application '{app}' is configured for use by Azure Active Directory users only. Please do not use the "
        "/consumers endpoint to serve this request.",
    ),
}  # fmt: skip


def told(number: int, **places: str) -> str:
    """The error's words as they begin everywhere."""
    return f"AADSTS{number}: {ERRORS[number].words.format_map(places)}"


def page(number: int, reason: str, **places: str) -> ErrorPage:
    """The error on Microsoft's own page. The client learns nothing."""
    return ErrorPage("Sorry, but we're having trouble signing you in.", (told(number, **places),), reason)


def refused(number: int, *, base: str, now: float, mint: Mint, **places: str) -> Answer:
    """The error as the token endpoint answers it."""
    known = ERRORS[number]
    trace, correlation = _guid(mint), _guid(mint)
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    after = f" Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
    body = {
        "error": known.error,
        "error_description": told(number, **places) + after,
        "error_codes": [number],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{base}/error?code={number}",
    }
    return Answer({**body, **({"suberror": known.suberror} if known.suberror else {})}, known.status)


def _guid(mint: Mint) -> str:
    return str(UUID(bytes=sha256(mint().encode()).digest()[:16], version=4))
