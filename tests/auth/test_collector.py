"""What is kept of every user is nothing that Python's collector walks through: every request would wait for it."""

import gc
from datetime import UTC, datetime

import pytest

from scopefold.auth.core.families import Family
from scopefold.auth.core.seal import Sealed
from scopefold.auth.oauth.access_claims import AccessClaims
from scopefold.auth.store.grants import Mark, Spent
from scopefold.consent.reconsent import UserGrant
from scopefold.contracts.recorded import Cause
from scopefold.scopes.coverage import Grant

NOW = datetime(2026, 11, 1, tzinfo=UTC)
FAMILY = Family(
    client_id="app",
    user="u_1",
    idp="acme",
    scope="openid",
    issued_at=NOW,
    used_at=NOW,
    authenticated_at=NOW,
    issuer="https://as.example",
    user_ends=0,
)
CLAIMS = AccessClaims("https://as.example", "u_1", "https://as.example", "app", 2, 1, "j")
KEPT = (
    Sealed("k", b"n", b"t", 1),
    FAMILY,
    Mark(1, NOW),
    Spent(),
    CLAIMS,
    UserGrant("u_1", "acme", Grant(("read",)), 1, "echoed", Cause(1, NOW, "e")),
)


@pytest.mark.parametrize("value", KEPT, ids=[type(value).__name__ for value in KEPT])
def test_what_is_kept_of_a_user_is_not_walked_through(value: object) -> None:
    entry = tuple([value, 1])  # noqa: C409 (made anew, not a constant)
    gc.collect()
    assert not gc.is_tracked(value)
    assert not gc.is_tracked(entry)
