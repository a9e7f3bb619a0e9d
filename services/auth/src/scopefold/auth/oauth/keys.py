"""Signing keys as joserfc works with them."""

import warnings
from collections.abc import Mapping
from typing import Final

from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, Key, KeyParameters, KeySet, KeySetSerialization, OKPKey, RSAKey
from msgspec import Struct, json

from scopefold.auth.core.keys import Ring, SigningAlgorithm, SigningKey

RSA_BITS: Final = 2048
# Clients of OpenID Connect know Ed25519 by its older name, which RFC 9864 advises against.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class Keys(Struct, frozen=True):
    """The ring as it was read last: what signs, by algorithm, and everything that still verifies."""

    signing: Mapping[str, Key]
    verifying: KeySet

    @property
    def rs256(self) -> Key:
        """What signs ID tokens, where a client did not ask for another algorithm."""
        return self.signing["RS256"]

    @property
    def es256(self) -> Key:
        """What signs access tokens."""
        return self.signing["ES256"]

    def public(self) -> KeySetSerialization:
        """The JWKS document (RFC 7517, section 5): public parts only."""
        return self.verifying.as_dict(private=False)


def keys_of(ring: Ring, before: Keys | None = None) -> Keys:
    """The keys of a ring that is complete.

    Those that are in `before` are taken from there: OpenSSL checks each RSA key for 70 ms, in which this process does
    nothing else.
    """
    known = {key.kid: key for key in before.verifying.keys} if before is not None else {}
    imported = {key.kid: known.get(key.kid) or _imported(key) for key in ring.verifying()}
    signing: dict[str, Key] = {key.alg: imported[key.kid] for key in ring.keys if key.state == "current"}
    return Keys(signing, KeySet(list(imported.values())))


def new_key(alg: SigningAlgorithm) -> tuple[str, str]:
    """A new key: its name, which is its thumbprint (RFC 7638), and its private JWK."""
    made: Key
    match alg:
        case "RS256":
            made = RSAKey.generate_key(RSA_BITS)
        case "ES256":
            made = ECKey.generate_key("P-256")
        case "EdDSA":
            made = OKPKey.generate_key("Ed25519")
    return made.thumbprint(), json.encode(made.as_dict(private=True)).decode()


def _imported(key: SigningKey) -> Key:
    kinds: dict[SigningAlgorithm, type[RSAKey | ECKey | OKPKey]] = {"RS256": RSAKey, "ES256": ECKey, "EdDSA": OKPKey}
    parameters: KeyParameters = {"use": "sig", "alg": key.alg, "kid": key.kid}
    return kinds[key.alg].import_key(json.decode(key.jwk), parameters)
