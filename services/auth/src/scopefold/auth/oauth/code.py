"""The authorization code grant (RFC 6749, section 4.1), with PKCE (RFC 7636)."""

from typing import Any

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, scope_to_list
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge

from scopefold.auth.core.authentication import ACR
from scopefold.auth.oauth.claims import permitted
from scopefold.auth.oauth.client import AUTH_METHODS, RegisteredClient
from scopefold.auth.oauth.family import begin
from scopefold.auth.oauth.loaded import CODE_SECONDS, Bound, GrantedUser, Loaded
from scopefold.auth.oauth.resource import resources_in
from scopefold.auth.store.records import Code


class CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib has no types
    """Codes are stored and claimed by whoever called."""

    TOKEN_ENDPOINT_AUTH_METHODS = list(AUTH_METHODS)
    AUTHORIZATION_CODE_LENGTH = 43

    @staticmethod
    def validate_authorization_redirect_uri(request: Any, client: RegisteredClient) -> str:
        """Authlib repeats a wrong address in its error, and fails over characters that an error may not hold."""
        sent = request.payload.redirect_uri
        if sent and not client.check_redirect_uri(sent):
            raise InvalidRequestError("The Redirect URI is none that this client registered.")
        return str(AuthorizationCodeGrant.validate_authorization_redirect_uri(request, client))

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked, user = request.payload.data, request.user
        self.server.loaded.issued = (
            code,
            Code(
                client_id=request.client.get_client_id(),
                redirect_uri=request.payload.redirect_uri,
                scope=request.scope or "",
                user=user.user,
                idp=user.idp,
                nonce=asked.get("nonce"),
                code_challenge=asked.get("code_challenge"),
                authenticated_at=user.authenticated_at,
                issued_at=self.server.loaded.now,
                resource=resources_in(self.server.loaded, asked),
                dpop_jkt=asked.get("dpop_jkt"),
                sid=user.sid,
                claims=user.claims,
                issuer=self.server.loaded.issuer,
                idp_since=user.idp_since,
                registration=request.client.client.registration,
            ),
        )

    def query_authorization_code(self, code: str, client: RegisteredClient) -> "_StoredCode | None":
        loaded: Loaded = self.server.loaded
        if loaded.family is not None:  # it was redeemed before (RFC 6749, section 4.1.2)
            loaded.reused = loaded.family.client_id == client.get_client_id()
            return None
        found = loaded.code
        if found is None or found.client_id != client.get_client_id() or loaded.over or found.issuer != loaded.issuer:
            return None
        if loaded.identity is None:  # what the user consented to at the IdP is gone, as at a refresh
            return None
        if (loaded.now - found.issued_at).total_seconds() > CODE_SECONDS:
            return None
        if found.idp_since not in (0, loaded.idp_since):  # an IdP that was removed since, if it began anew or not
            return None
        loaded.bound = Bound(found.resource, found.dpop_jkt)
        return _StoredCode(found)

    def delete_authorization_code(self, authorization_code: "_StoredCode") -> None:
        """The caller claims the code, by storing its family, before it answers."""

    def authenticate_user(self, authorization_code: "_StoredCode") -> GrantedUser:
        code, loaded = authorization_code.code, self.server.loaded
        loaded.kept = begin(code, loaded)
        claims = permitted(code.claims, self.request.client.client.scopes)
        return GrantedUser(code.user, code.idp, code.authenticated_at, code.sid, claims)


class _StoredCode:
    """An authorization code, as Authlib asks about it."""

    code_challenge_method = "S256"

    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge = code.code_challenge

    def get_redirect_uri(self) -> str:
        return self.code.redirect_uri

    def get_scope(self) -> str:
        return self.code.scope

    def get_nonce(self) -> str | None:
        return self.code.nonce

    def get_auth_time(self) -> int:
        return int(self.code.authenticated_at.timestamp())

    def get_acr(self) -> str:
        return ACR

    def get_amr(self) -> None:
        return None


class RequireS256(CodeChallenge):  # type: ignore[misc]
    """PKCE with S256, of every client (RFC 9700, section 2.1.1): Authlib alone would take `plain`, or none.

    A confidential OpenID Connect client may be exempted by its registration. It is protected by a nonce then (same
    section), which is demanded unless its registration says otherwise, too. If it sends a challenge nevertheless, all
    of it holds.
    """

    DEFAULT_CODE_CHALLENGE_METHOD = "S256"
    SUPPORTED_CODE_CHALLENGE_METHOD = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        client = grant.request.client.client
        if not client.require_pkce and not {"code_challenge", "code_challenge_method"} & asked.keys():
            openid = "openid" in (scope_to_list(asked.get("scope")) or [])
            if not openid or (client.require_nonce and not asked.get("nonce")):
                raise InvalidRequestError("Send a 'code_challenge', or ask for the scope openid with a 'nonce'.")
            return
        if not asked.get("code_challenge"):
            raise InvalidRequestError("Missing 'code_challenge': this server requires PKCE.")
        if asked.get("code_challenge_method") != "S256":
            raise InvalidRequestError("'code_challenge_method' must be S256.")
        super().validate_code_challenge(grant, redirect_uri)

    def validate_code_verifier(self, grant: Any, result: object) -> None:
        """Whatever is wrong with the verifier, it is the grant that is invalid (RFC 7636, section 4.6)."""
        try:
            super().validate_code_verifier(grant, result)
        except InvalidRequestError as error:
            raise InvalidGrantError(description=error.description) from None
