"""Tokens of ours that come back to us: what each is taken for, and what it is not. Pure."""

from datetime import UTC, datetime
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import Key, RSAKey

from scopefold.auth.core.keys import ALGORITHMS, Ring, begun, revoked, rotated
from scopefold.auth.oauth.keys import Keys, keys_of, new_key
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.own_tokens import logout_token, read_hint
from scopefold.auth.oauth.protected import Access, AccessRefused, Needs, check_access
from tests.auth.holders import some_keys, some_ring

ISSUER = "https://login.example"
MOMENT = datetime.now(UTC)
KEYS = some_keys()
OTHERS = keys_of(begun(Ring(), new_key, MOMENT))
NOW = int(MOMENT.timestamp())
ACCESS: dict[str, Any] = {
    "iss": ISSUER,
    "aud": ISSUER,
    "sub": "u_12345678",
    "client_id": "app",
    "iat": NOW,
    "exp": NOW + 600,
    "jti": "j",
    "scope": "openid",
    "sid": "s_12345678",
    "idp": "atlassian",
}
ID: dict[str, Any] = {"iss": ISSUER, "aud": ["app"], "sub": "u_12345678", "sid": "s_12345678", "iat": 1, "exp": 2}


def access(keys: Keys = KEYS, header: dict[str, str] | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**ACCESS, **changed}.items() if value is not None}
    return jwt.encode(
        {"alg": "ES256", "typ": "at+jwt", "kid": str(keys.es256.kid), **(header or {})}, claims, keys.es256, ["ES256"]
    )


def without(name: str) -> str:
    changed: dict[str, Any] = {name: None}
    return access(**changed)


def free(key: Key) -> Key:
    """The same key, without its word which algorithm it is for: joserfc would keep it from signing with another."""
    kept = {name: value for name, value in key.as_dict(private=True).items() if name not in ("alg", "use")}
    return RSAKey.import_key(kept)


def id_token(keys: Keys = KEYS, header: dict[str, str] | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**ID, **changed}.items() if value is not None}
    head = {"alg": "RS256", "kid": str(keys.rs256.kid), **(header or {})}
    return jwt.encode(head, claims, free(keys.rs256), ["RS256", "RS512"])


def opened(authorization: str) -> Access:
    """What UserInfo asks of its requests."""
    loaded = Loaded(issuer=ISSUER, keys=KEYS, client_secret_key=b"", now=MOMENT)
    needs = Needs(scopes=("openid",))
    return check_access(loaded, method="GET", authorization=authorization, proof=None, needs=needs)


def test_an_access_token_of_ours_says_whose_it_is() -> None:
    said = opened(f"Bearer {access(aud=['https://api.example', ISSUER])}")
    assert ("u_12345678", "s_12345678", "atlassian") == (said.claims.sub, said.claims.sid, said.claims.idp)


@pytest.mark.parametrize(
    "token",
    [
        access(OTHERS),
        access(aud="https://api.example"),
        access(iss="https://other.example"),
        access(exp=NOW - 60),
        access(header={"typ": "JWT"}),
        access(header={"typ": ""}),
        access(header={"typ": "logout+jwt"}),
        *(without(name) for name in ("iss", "aud", "sub", "client_id", "iat", "exp", "jti")),
        access(exp=str(NOW + 600)),
        access(nbf=NOW + 7200),
        id_token(),
    ],
)
def test_D07_D08_C18_no_other_token_opens_userinfo(token: str) -> None:
    with pytest.raises(AccessRefused) as told:
        opened(f"Bearer {token}")
    assert (401, "invalid_token") == (told.value.status, told.value.told["error"])


def test_an_expired_id_token_is_a_hint_all_the_same() -> None:
    hint = read_hint(KEYS, ISSUER, id_token())
    assert hint is not None
    assert ("u_12345678", ("app",), "s_12345678") == (hint.subject, hint.audience, hint.sid)
    assert ("app",) == (read_hint(KEYS, ISSUER, id_token(aud="app")) or hint).audience


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_D12_a_hint_is_believed_after_its_key_retired_and_not_after_it_was_revoked(alg: str) -> None:
    key = KEYS.signing[alg]
    token = jwt.encode({"alg": alg, "kid": str(key.kid)}, ID, key, list(ALGORITHMS))
    retired = keys_of(rotated(some_ring(), new_key, MOMENT))
    assert read_hint(retired, ISSUER, token) is not None
    leaked = revoked(some_ring(), str(key.kid), new_key, MOMENT)
    assert leaked is not None
    assert read_hint(keys_of(leaked), ISSUER, token) is None


@pytest.mark.parametrize(
    "token",
    [
        id_token(OTHERS),
        id_token(iss="https://other.example"),
        id_token(iss=None),
        id_token(sub=None),
        id_token(aud=None),
        id_token(header={"alg": "RS512"}),
        access(),
        f"eyJhbGciOiJub25lIn0.{id_token().split('.')[1]}.",
        "",
        "x.y.z",
    ],
)
def test_D01_D08_nothing_else_is_a_hint(token: str) -> None:
    assert read_hint(KEYS, ISSUER, token) is None


def test_G07_a_logout_token_is_neither_a_hint_nor_an_id_token() -> None:
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    token = logout_token(KEYS, ISSUER, client_id="app", user="u_12345678", sid="s_1", token_id="j", now=at)
    assert read_hint(KEYS, ISSUER, token) is None
    found = jwt.decode(token, KEYS.rs256, ["RS256"])
    assert ("logout+jwt", False) == (found.header["typ"], "nonce" in found.claims)
