"""What one request needs of the store, and whom a code is issued for."""

from datetime import datetime
from typing import Final

from joserfc.jwk import ECKey, KeySet, KeySetSerialization, RSAKey
from msgspec import Struct

from scopefold.auth.store.records import Client, Code
from scopefold.auth.store.vault import Identity

CODE_SECONDS: Final = 60
ACCESS_SECONDS: Final = 600
ID_TOKEN_SECONDS: Final = 600


class Keys(Struct, frozen=True):
    """The signing keys, loaded once."""

    rs256: RSAKey
    es256: ECKey

    def public(self) -> KeySetSerialization:
        """The JWKS document (RFC 7517, section 5): public parts only."""
        return KeySet([self.rs256, self.es256]).as_dict(private=False)


class Loaded(Struct, kw_only=True):
    """What one request may need from the store, and what it wants stored. `code` is still to be claimed."""

    issuer: str
    keys: Keys
    client_secret_key: bytes
    now: datetime
    client: Client | None = None
    code: Code | None = None
    identity: Identity | None = None
    groups: tuple[str, ...] = ()
    issued: tuple[str, Code] | None = None


class GrantedUser(Struct, frozen=True):
    """The user whom a code is issued for, and how they logged in."""

    user: str
    idp: str
    authenticated_at: datetime
    sid: str = ""
    claims: tuple[str, ...] = ()
    """Claims that the client asked for by name."""

    def get_user_id(self) -> str:
        """The subject, as Authlib asks for it."""
        return self.user
