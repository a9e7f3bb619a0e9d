"""The keys with which the stand-ins sign their id_tokens. Made anew with every process."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.requests import Request
from starlette.responses import Response

from scopefold.runtime.web import json_response

Algorithm = Literal["RS256", "ES256"]


class Keys:
    """One key for each algorithm, made when the first is needed: an RSA key takes a moment."""

    @cached_property
    def _keys(self) -> dict[Algorithm, RSAKey | ECKey]:
        return {
            "RS256": RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True),
            "ES256": ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True),
        }

    def sign(self, claims: Mapping[str, Any], algorithm: Algorithm = "RS256") -> str:
        """The claims as a signed token."""
        key = self._keys[algorithm]
        return jwt.encode({"alg": algorithm, "kid": key.kid, "typ": "JWT"}, dict(claims), key, algorithms=[algorithm])

    async def show(self, _: Request) -> Response:
        """The public keys (RFC 7517, section 5)."""
        return json_response(KeySet([*self._keys.values()]).as_dict(private=False))
