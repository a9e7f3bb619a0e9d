"""DPoP at the authorization and token endpoints (RFC 9449): tokens that only the holder of a key can use."""

import re
from typing import Any, Final

from authlib.oauth2.rfc6749 import InvalidGrantError, InvalidRequestError, OAuth2Error

from scopefold.auth.core.dpop_nonce import is_fresh
from scopefold.auth.oauth.dpop_proof import BadProof, Proof, read_proof
from scopefold.auth.oauth.loaded import Loaded

_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class InvalidProofError(OAuth2Error):  # type: ignore[misc]  # Authlib has no types
    """The proof is missing, or proves nothing (section 5)."""

    error = "invalid_dpop_proof"
    status_code = 400


class UseNonceError(OAuth2Error):  # type: ignore[misc]
    """The proof must carry a nonce that this server gave (section 8)."""

    error = "use_dpop_nonce"
    status_code = 400


class DPoP:
    """Authlib's extension for every grant. `Loaded.proof` is then to be kept, so that it is seen only once.

    A grant that redeems something says in `Loaded.bound` which key it is bound to, if to any.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __call__(self, grant: Any) -> None:
        grant.register_hook("after_validate_authorization_request_payload", self.check_thumbprint)
        grant.register_hook("after_validate_token_request", self.check_proof)
        grant.register_hook("after_create_token_response", self.name_token_type)

    def check_thumbprint(self, grant: Any, _: object) -> None:
        """`dpop_jkt` is a SHA-256 thumbprint (section 10)."""
        thumbprint = grant.request.payload.data.get("dpop_jkt")
        if thumbprint is not None and not _THUMBPRINT.fullmatch(thumbprint):
            raise InvalidRequestError("'dpop_jkt' must be the SHA-256 thumbprint of a key.")

    def check_proof(self, grant: Any, _: object) -> None:
        """Who must prove a key does, and it is the right one."""
        loaded = self._loaded
        text = grant.request.headers.get("DPoP")
        wanted = loaded.bound.dpop_jkt if loaded.bound is not None else None
        if text is None:
            if wanted is not None or (loaded.client is not None and loaded.client.dpop_bound_access_tokens):
                raise InvalidProofError("A DPoP proof is needed here.")
            return
        loaded.proof = proof = judged(loaded, text, method=grant.request.method)
        if wanted not in (None, proof.jkt):
            raise InvalidGrantError("It was given to the holder of another key.")

    def name_token_type(self, grant: Any, response: tuple[int, dict[str, Any], Any]) -> None:
        """The client must send the token with a proof (section 5)."""
        if self._loaded.proof is not None:
            response[1]["token_type"] = "DPoP"


def judged(loaded: Loaded, text: str, *, method: str, access_token: str | None = None) -> Proof:
    """The proof, if it holds for a request to `Loaded.url` and its nonce is ours. Raises Authlib's errors."""
    try:
        proof = read_proof(text, method=method, url=loaded.url, now=loaded.now, access_token=access_token)
    except BadProof as error:
        raise InvalidProofError(str(error)) from None
    if proof.nonce is None:
        if loaded.nonce_required:
            raise UseNonceError("The DPoP proof must carry the nonce of the DPoP-Nonce header.")
    elif not is_fresh(loaded.nonce_key, proof.nonce, loaded.now):
        raise UseNonceError("The nonce of the DPoP proof is too old, or none of ours.")
    return proof
