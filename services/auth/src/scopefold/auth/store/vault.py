"""The vault: upstream tokens, who a user is upstream, IdPs' client secrets, signing keys. All sealed.

A user's rows are sealed with a data key of the user's own, which is sealed with the key-encryption key: destroying
the one destroys the others.
"""

import os
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from scopefold.auth.core.keys import Ring
from scopefold.auth.core.seal import NONCE_BYTES, Place, Sealed, derive, keyed_hash, seal, unseal
from scopefold.auth.store.buckets import VAULT, Bucket, Taken

T = TypeVar("T", bound=Struct)
DATA_KEYS_KEPT: Final = 10_000


class Identity(Struct, frozen=True):
    """Who a user is at an IdP. Personal: sealed, and never in the log."""

    subject: str
    email: str | None = None
    name: str | None = None
    given_name: str | None = None
    family_name: str | None = None
    preferred_username: str | None = None
    email_verified: bool | None = None
    """None where the IdP did not say."""
    groups: tuple[str, ...] = ()


class TokenPart(Struct, frozen=True):
    """One of several access tokens of a user at one IdP, where one cannot carry everything."""

    part: str
    """What it is for, as `scopes.partition` names it: a resource at Microsoft, `bot` or `user` at Slack."""
    access_token: str
    refresh_token: str | None = None
    """Only where it has one of its own, as at Slack."""
    scopes: tuple[str, ...] | None = None
    """What its answer said that it carries, in the IdP's spelling; None where it did not say."""
    access_expires_at: datetime | None = None


class StoredToken(Struct, frozen=True):
    """A user's upstream token at one IdP, and what its `TokenStored` event says or will say.

    Where `parts` are named, `access_token` is the first one's, and `refresh_token` renews all that have none of
    their own; `access_expires_at` is the earliest of all.
    """

    identity: Identity
    access_token: str
    refresh_token: str | None
    requested: tuple[str, ...]
    granted: tuple[str, ...] | None
    evidence: tuple[str, ...]
    known_by: str
    cause: str
    generation: int
    fingerprint: str
    predecessor: str | None
    access_expires_at: datetime | None
    idle_expires_at: datetime | None
    absolute_expires_at: datetime | None
    parts: tuple[TokenPart, ...] = ()


class Linked(Struct, frozen=True):
    """The user that an upstream account belongs to."""

    user: str


class Groups(Struct, frozen=True):
    """The groups that an operator put a user into."""

    groups: tuple[str, ...]


class _DataKey(Struct, frozen=True):
    key: bytes


class _Text(Struct, frozen=True):
    text: str


class Vault:
    """The vault bucket, opened with the key-encryption key."""

    def __init__(self, bucket: Bucket, tenant: str, kek: bytes) -> None:
        self._bucket = bucket
        self._tenant = tenant
        self._kek = kek
        self.fingerprint_key = b""
        """Keys the fingerprints of tokens."""
        self.dpop_nonce_key = b""
        """Keys the nonces that clients put into their proofs."""
        self.client_secret_key = b""
        """Keys the hashes of client secrets."""
        self.csrf_key = b""
        """Keys the tokens that bind a form to the session of who it was shown to."""
        self._subject_key = b""
        self._data_keys: dict[str, bytes] = {}

    async def open(self) -> None:
        """Find the vault's root key, or make it. Raises `CannotOpen` where another key sealed this vault."""
        root = await self._key("root", "root")
        self.fingerprint_key = derive(root, "fingerprint")
        self.dpop_nonce_key = derive(root, "dpop nonce")
        self.client_secret_key = derive(root, "client secret")
        self.csrf_key = derive(root, "form")
        self._subject_key = derive(root, "upstream subject")

    async def knows(self, user: str) -> bool:
        """Is this a user who has logged in here?"""
        return await self._bucket.get(f"key.{user}", Sealed) is not None

    async def groups(self, user: str) -> tuple[str, ...]:
        """The groups that an operator put this user into."""
        found = await self._get(f"groups.{user}", user, "", Groups)
        return found[0].groups if found else ()

    async def put_groups(self, user: str, groups: tuple[str, ...]) -> None:
        """Say which groups a user is in. Raises `Taken` if somebody else just did."""
        before = await self._bucket.get(f"groups.{user}", Sealed)
        await self._put(f"groups.{user}", user, "", Groups(groups), before[1] if before else 0)

    async def user_of(self, idp: str, subject: str, *, new_user: str) -> str:
        """The user that an upstream account belongs to: `new_user` where it is seen for the first time.

        The link is (IdP, subject), never an address: two accounts with one e-mail stay two users.
        """
        name = f"identity.{idp}.{keyed_hash(self._subject_key, subject)}"
        for _ in range(2):
            if (found := await self._bucket.get(name, Linked)) is not None:
                return found[0].user
            try:
                await self._bucket.create(name, Linked(new_user))
            except Taken:
                continue  # a parallel login linked the account: read whom to
            return new_user
        raise Taken(name)

    async def token(self, user: str, idp: str) -> tuple[StoredToken, int] | None:
        """A user's token at an IdP, with the revision to replace it by."""
        return await self._get(f"token.{user}.{idp}", user, idp, StoredToken)

    async def put_token(self, user: str, idp: str, token: StoredToken, *, revision: int) -> None:
        """Store a token where `revision` is still the present one (0: none). Raises `Taken`."""
        await self._put(f"token.{user}.{idp}", user, idp, token, revision)

    async def idp_secret(self, idp: str) -> str | None:
        """The client secret of our app at an IdP."""
        found = await self._get(f"idp.{idp}", "service", idp, _Text)
        return found[0].text if found else None

    async def put_idp_secret(self, idp: str, secret: str) -> None:
        """Store, or replace, the client secret of our app at an IdP. Raises `Taken` if somebody else just did."""
        name = f"idp.{idp}"
        before = await self._bucket.get(name, Sealed)
        await self._put(name, "service", idp, _Text(secret), before[1] if before else 0)

    async def signing_ring(self) -> tuple[Ring, int]:
        """The signing keys, and the revision to replace them by; an empty ring where there are none yet."""
        found = await self._get("signing.ring", "service", "", Ring)
        return found or (Ring(), 0)

    async def put_signing_ring(self, ring: Ring, *, revision: int) -> None:
        """Store the signing keys where `revision` is still the present one (0: none). Raises `Taken`."""
        await self._put("signing.ring", "service", "", ring, revision)

    async def _get(self, name: str, owner: str, idp: str, kind: type[T]) -> tuple[T, int] | None:
        found = await self._bucket.get(name, Sealed)
        if found is None:
            return None
        sealed, revision = found
        text = unseal(await self._data_key(owner), self._place(owner, idp), sealed)
        return msgspec.msgpack.decode(text, type=kind), revision

    async def _put(self, name: str, owner: str, idp: str, value: Struct, revision: int) -> None:
        text = msgspec.msgpack.encode(value)
        sealed = seal(await self._data_key(owner), self._place(owner, idp), text, os.urandom(NONCE_BYTES))
        await self._bucket.update(name, sealed, revision=revision)

    async def _data_key(self, owner: str) -> bytes:
        """The data key of a user or of the service; kept in memory for a bounded number of them."""
        if (known := self._data_keys.get(owner)) is not None:
            return known
        key = await self._key(f"key.{owner}", owner)
        if len(self._data_keys) >= DATA_KEYS_KEPT:
            self._data_keys.pop(next(iter(self._data_keys)))
        self._data_keys[owner] = key
        return key

    async def _key(self, name: str, owner: str) -> bytes:
        """A key that is sealed with the key-encryption key, made where there is none."""
        place = self._place(owner, "")
        for _ in range(2):
            if (found := await self._bucket.get(name, Sealed)) is not None:
                return msgspec.msgpack.decode(unseal(self._kek, place, found[0]), type=_DataKey).key
            made = _DataKey(os.urandom(32))
            try:
                text = msgspec.msgpack.encode(made)
                await self._bucket.create(name, seal(self._kek, place, text, os.urandom(NONCE_BYTES)))
            except Taken:
                continue
            return made.key
        raise Taken(name)

    def _place(self, owner: str, idp: str) -> Place:
        return Place(self._tenant, VAULT, owner, idp, version=1)
