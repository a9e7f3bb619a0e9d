"""The vault: upstream tokens, who a user is upstream, IdPs' client secrets, signing keys. All sealed.

A user's rows are sealed with a data key of the user's own, which is sealed with the key-encryption key: destroying
the one destroys the others.
"""

import os
from typing import TypeVar

import msgspec
from msgspec import Struct

from scopefold.auth.core.keys import Ring
from scopefold.auth.core.seal import NONCE_BYTES, CannotOpen, Sealed, UnknownKek, derive, keyed_hash, seal, unseal
from scopefold.auth.core.stored_token import StoredToken, stand_in
from scopefold.auth.store.buckets import Bucket, Taken
from scopefold.auth.store.data_keys import SERVICE, DataKeys, Erased, Erasure, belongs, erasure_of, rows_of
from scopefold.auth.store.removal import drop, erase, purge
from scopefold.runtime.logs import logger

T = TypeVar("T", bound=Struct)
log = logger(__name__)


class Linked(Struct, frozen=True):
    """The user that an upstream account belongs to."""

    user: str


class Groups(Struct, frozen=True):
    """The groups that an operator put a user into."""

    groups: tuple[str, ...]


class _Text(Struct, frozen=True):
    text: str


class Vault:
    """The vault bucket, opened with the key-encryption keys: the current one, and older ones for what they sealed."""

    def __init__(self, bucket: Bucket, tenant: str, kek: bytes, *older: bytes) -> None:
        self._bucket = bucket
        self.keys = DataKeys(bucket, tenant, (kek, *older))
        self.fingerprint_key = b""
        """Keys the fingerprints of tokens."""
        self.dpop_nonce_key = b""
        """Keys the nonces that clients put into their proofs."""
        self.client_secret_key = b""
        """Keys the hashes of client secrets."""
        self.csrf_key = b""
        """Keys the tokens that bind a form to the session of who it was shown to."""
        self.reconsent_link_key = b""
        """Keys the hashes that bind links to consent again."""
        self._subject_key = b""

    async def open(self) -> None:
        """Find the vault's root key, or make it. Raises `CannotOpen` where other keys sealed this vault."""
        root = await self.keys.open()
        self.fingerprint_key = derive(root, "fingerprint")
        self.dpop_nonce_key = derive(root, "dpop nonce")
        self.client_secret_key = derive(root, "client secret")
        self.csrf_key = derive(root, "form")
        self.reconsent_link_key = derive(root, "reconsent link")
        self._subject_key = derive(root, "upstream subject")

    async def knows(self, user: str) -> bool:
        """Is this a user who has logged in here?"""
        return await self._bucket.get(f"key.{user}", Sealed) is not None

    async def groups(self, user: str) -> tuple[str, ...]:
        """The groups that an operator put this user into; none, where their row does not open."""
        found = await self._readable(f"groups.{user}", user, "", Groups)
        return found[0].groups if found and found[0] else ()

    async def put_groups(self, user: str, groups: tuple[str, ...]) -> None:
        """Say which groups a user is in. Raises `Taken` if somebody else just did."""
        name = f"groups.{user}"
        await self._put(name, user, "", Groups(groups), await self._revision(name, user))

    async def user_of(self, idp: str, subject: str, *, new_user: str) -> str:
        """The user that an upstream account belongs to: `new_user` where it is seen for the first time.

        The link is (IdP, subject), never an address: two accounts with one e-mail stay two users.
        """
        name = self._link(idp, subject)
        for _ in range(2):
            found = await self._bucket.get(name, Linked)
            if found is not None and await self.erasure(found[0].user) is None:
                return found[0].user
            try:  # a link to who was erased is one that a login left, cut off before it stored anything
                await self._bucket.update(name, Linked(new_user), revision=found[1] if found else 0)
            except Taken:
                continue  # a parallel login linked the account: read whom to
            return new_user
        raise Taken(name)

    async def linked(self, idp: str, subject: str) -> str | None:
        """The user that an upstream account belongs to, if it was ever seen."""
        found = await self._bucket.get(self._link(idp, subject), Linked)
        return found[0].user if found is not None else None

    async def erasure(self, user: str) -> Erasure | None:
        """That this user was erased, or is being."""
        found = await self._bucket.get(erasure_of(user), Erasure)
        return found[0] if found is not None else None

    async def note_erasure(self, user: str, erasure: Erasure) -> None:
        """From now on no data key is made for this user."""
        await self._bucket.put(erasure_of(user), erasure)

    async def idps_of(self, user: str) -> tuple[str, ...]:
        """The IdPs that a user has a row of."""
        return tuple(name.split(".")[2] for name in await self._bucket.keys(f"token.{user}.*"))

    async def unlink(self, user: str, idp: str, subject: str) -> None:
        """Forget whose an upstream account is, where it is this user's: it may belong to who came after them."""
        name = self._link(idp, subject)
        found = await self._bucket.get(name, Linked)
        if found is not None and found[0].user == user:
            await erase(self._bucket, name)

    async def destroy(self, user: str) -> None:
        """Destroy a user's data key, then delete all that it sealed. Links are not found after this."""
        await self.keys.destroy(user)
        for pattern in rows_of(user):
            for name in await self._bucket.keys(pattern):
                await drop(self._bucket, name)

    async def leave_no_trace(self, user: str) -> None:
        """Remove what deletions left behind, once everybody has heard of them."""
        for pattern in rows_of(user):
            await purge(self._bucket, pattern)

    def _link(self, idp: str, subject: str) -> str:
        return f"identity.{idp}.{keyed_hash(self._subject_key, subject)}"

    async def token(self, user: str, idp: str) -> tuple[StoredToken, int] | None:
        """A user's token at an IdP, with the revision to replace it by.

        A row that does not open, since it was altered or moved, shows as a token that is gone, of nobody: one such row
        must not keep its user out for ever, nor whoever goes through all rows from the others.
        """
        found = await self._readable(f"token.{user}.{idp}", user, idp, StoredToken)
        return (found[0] or stand_in("unreadable"), found[1]) if found else None

    async def put_token(self, user: str, idp: str, token: StoredToken, *, revision: int) -> int:
        """Store a token where `revision` is still the present one (0: none); its new revision. Raises `Taken`."""
        return await self._put(f"token.{user}.{idp}", user, idp, token, revision)

    async def idp_secret(self, idp: str) -> str | None:
        """The client secret of our app at an IdP; none, where its row does not open."""
        found = await self._readable(f"idp.{idp}", SERVICE, idp, _Text)
        return found[0].text if found and found[0] else None

    async def put_idp_secret(self, idp: str, secret: str) -> None:
        """Store, or replace, the client secret of our app at an IdP. Raises `Taken` if somebody else just did."""
        name = f"idp.{idp}"
        await self._put(name, SERVICE, idp, _Text(secret), await self._revision(name, SERVICE))

    async def drop_idp_secret(self, idp: str) -> None:
        """Forget the client secret of our app at an IdP, if there is one."""
        if await self._bucket.get(f"idp.{idp}", Sealed) is not None:
            await drop(self._bucket, f"idp.{idp}")

    async def next_token(self, idp: str, *, after: int) -> tuple[str, int] | None:
        """Whose row at an IdP was written first after a revision, and at which; None: nobody's."""
        found = await self._bucket.next(f"token.*.{idp}", after=after)
        return (found.key.split(".")[1], found.revision) if found is not None else None

    async def signing_ring(self) -> tuple[Ring, int]:
        """The signing keys, and the revision to replace them by; an empty ring where there are none yet."""
        found = await self._get("signing.ring", SERVICE, "", Ring)
        return found or (Ring(), 0)

    async def put_signing_ring(self, ring: Ring, *, revision: int) -> None:
        """Store the signing keys where `revision` is still the present one (0: none). Raises `Taken`."""
        await self._put("signing.ring", SERVICE, "", ring, revision)

    async def _readable(self, name: str, owner: str, idp: str, kind: type[T]) -> tuple[T | None, int] | None:
        """What is in a row, None where it does not open, and its revision; no row, where its owner is being erased."""
        if (found := await self._bucket.get(name, Sealed)) is None:
            return None
        try:
            return await self._opened(found[0], owner, idp, kind), found[1]
        except Erased:
            return None
        except UnknownKek:
            raise  # this process was not given the key: nothing is wrong with the row
        except CannotOpen as error:
            log.error("a row of the vault does not open", kind=name.partition(".")[0], owner=owner, reason=str(error))
            return None, found[1]

    async def _get(self, name: str, owner: str, idp: str, kind: type[T]) -> tuple[T, int] | None:
        found = await self._bucket.get(name, Sealed)
        if found is None:
            return None
        return await self._opened(found[0], owner, idp, kind), found[1]

    async def _opened(self, sealed: Sealed, owner: str, idp: str, kind: type[T]) -> T:
        text = unseal(await self.keys.to_open(owner, sealed), self.keys.place(owner, idp), sealed)
        return msgspec.msgpack.decode(text, type=kind)

    async def _put(self, name: str, owner: str, idp: str, value: Struct, revision: int) -> int:
        """Write a row where `revision` is still the present one, opened by this process (0: none); its new revision."""
        assert belongs(name) == (owner, idp), "a rotation knows by its name whose a row is"
        text = msgspec.msgpack.encode(value)
        key = await self.keys.to_seal(owner, new_row=revision == 0)
        sealed = seal(key, self.keys.place(owner, idp), text, os.urandom(NONCE_BYTES))
        return await self._bucket.update(name, sealed, revision=revision)

    async def _revision(self, name: str, owner: str) -> int:
        """The revision to replace a row by, 0 for none. The data key in memory is then no older than the row."""
        if (found := await self._bucket.get(name, Sealed)) is None:
            return 0
        await self.keys.to_open(owner, found[0])
        return found[1]
