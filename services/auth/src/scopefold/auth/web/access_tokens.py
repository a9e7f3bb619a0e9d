"""Access tokens of ours that were verified lately: verifying a signature costs more than all the rest of a hot call."""

import hashlib
from datetime import datetime
from typing import Final

from scopefold.auth.oauth.access_claims import AccessClaims, read_access_token
from scopefold.auth.oauth.keys import Keys
from scopefold.runtime.kept import Kept

MOST: Final = 100_000


class AccessTokens:
    """Verified claims by the hash of the token, for as long as the keys are those that verified them."""

    def __init__(self) -> None:
        self._keys: Keys | None = None
        self._kept: Kept[bytes, AccessClaims] = Kept(MOST)

    def read(self, text: str, *, keys: Keys, issuer: str, now: datetime) -> AccessClaims | None:
        """As `read_access_token`."""
        if keys is not self._keys:  # one may have been revoked
            self._keys = keys
            self._kept.clear()
        name = hashlib.sha256(text.encode()).digest()
        kept = self._kept.get(name)
        if kept is not None:
            return kept if kept.iss == issuer and now.timestamp() < kept.exp else None
        claims = read_access_token(text, keys=keys.verifying, issuer=issuer, now=now)
        if claims is not None:
            self._kept.keep(name, claims)
        return claims
