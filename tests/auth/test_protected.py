"""Protected resources of ours: which tokens they take, and what they tell who lacks something (C15, C17, D01-D12)."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from msgspec import json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from scopefold.auth.core.keys import revoked
from scopefold.auth.core.seal import read_key
from scopefold.auth.folding import connect
from scopefold.auth.oauth.dpop_proof import ALGORITHMS
from scopefold.auth.oauth.keys import keys_of, new_key
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.oauth.protected import Access, AccessRefused, Needs, check_access
from scopefold.auth.settings import Settings
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.protected import access_of, access_refused
from scopefold.auth.web.service import Service, service_of
from scopefold.ledger.log import Log
from scopefold.runtime.secret import Secret
from scopefold.runtime.web import application, json_response
from tests.auth.holders import Holder, ath_of, some_keys, some_ring
from tests.auth.world import KEK, World

METADATA = "https://login.example/.well-known/oauth-protected-resource"
ISSUER, URL = "https://login.example", "https://login.example/userinfo"
NOW = datetime.now(UTC)
AT = int(NOW.timestamp())


def token(*, key: Any = None, header: Mapping[str, Any] | None = None, **changed: Any) -> str:
    """An access token that is right, but for what is changed."""
    right = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": "u_user0001",
        "client_id": "app",
        "iat": AT,
        "exp": AT + 600,
        "jti": "one",
        "scope": "openid email",
        "auth_time": AT - 100,
        "acr": "urn:acr:one",
    }
    claims = {name: value for name, value in {**right, **changed}.items() if value is not None}
    signer = key or some_keys().es256
    head = {"alg": "ES256", "typ": "at+jwt", "kid": str(signer.kid), **(header or {})}
    return jwt.encode(head, claims, signer, algorithms=[head["alg"]])


def asked(access: str, *, scheme: str = "Bearer", proof: str | None = None, **rest: Any) -> Access:
    loaded = Loaded(issuer=ISSUER, keys=rest.pop("keys", some_keys()), client_secret_key=b"", now=NOW, url=URL)
    return check_access(loaded, method="GET", authorization=f"{scheme} {access}", proof=proof, **rest)


def refusal(access: str, **rest: Any) -> AccessRefused:
    with pytest.raises(AccessRefused) as caught:
        asked(access, **rest)
    return caught.value


def test_a_token_of_ours_for_us_comes_in() -> None:
    access = asked(token())
    assert ("u_user0001", ("openid", "email"), None) == (access.claims.sub, access.claims.scopes, access.proof)
    assert asked(token(aud=["https://api.example", ISSUER])).claims.sub


TOKENS: list[tuple[str, dict[str, Any]]] = [
    ("D07-exp", {"exp": AT - 1}),
    ("D07-no-exp", {"exp": None}),
    ("D07-exp-text", {"exp": str(AT + 600)}),
    ("D07-no-iat", {"iat": None}),
    ("D07-no-sub", {"sub": None}),
    ("D07-no-aud", {"aud": None}),
    ("D07-nbf", {"nbf": AT + 7200}),
    ("C18-aud", {"aud": "https://api.example"}),
    ("C18-aud-list", {"aud": ["https://api.example"]}),
    ("C18-iss", {"iss": "https://evil.example"}),
    ("D08-typ", {"header": {"typ": "JWT"}}),
    ("D08-no-typ", {"header": {"typ": ""}}),
    ("D02-symmetric", {"key": OctKey.import_key("s" * 40, {"kid": "x"}), "header": {"alg": "HS256"}}),
    ("D01-other-key", {"key": ECKey.generate_key("P-256", auto_kid=True)}),
    (
        "D01-other-key-our-kid",
        {"key": ECKey.generate_key("P-256", auto_kid=True), "header": {"kid": str(some_keys().es256.kid)}},
    ),
]


@pytest.mark.parametrize(("case", "changed"), TOKENS)
def test_D01_D02_D07_D08_C18_any_other_token_is_refused(case: str, changed: dict[str, Any]) -> None:
    found = refusal(token(**changed))
    assert (401, "invalid_token") == (found.status, found.told["error"])


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "e30.e30.", "é.é.é", "x" * 20000, token() + "x", token()[:-9]])
def test_D01_what_is_no_token_is_refused(text: str) -> None:
    assert "invalid_token" == refusal(text).told["error"]


def test_D12_a_token_of_a_revoked_key_is_refused() -> None:
    access, kid = token(), str(some_keys().es256.kid)
    after = revoked(some_ring(), kid, new_key, NOW)
    assert after is not None
    assert "invalid_token" == refusal(access, keys=keys_of(after)).told["error"]
    assert kid not in json.encode(keys_of(after).public()).decode()
    assert asked(token(key=keys_of(after).es256), keys=keys_of(after)).claims.sub


def test_C15_a_token_comes_in_the_header_alone() -> None:
    loaded = Loaded(issuer=ISSUER, keys=some_keys(), client_secret_key=b"", now=NOW, url=URL)
    for authorization in (None, "Basic eDp5", f"MAC {token()}"):
        with pytest.raises(AccessRefused) as caught:
            check_access(loaded, method="GET", authorization=authorization, proof=None)
        offered = caught.value.challenge(METADATA)
        assert (401, {}) == (caught.value.status, caught.value.told)
        assert 'Bearer realm="scopefold"' in offered
        assert f'DPoP algs="{" ".join(ALGORITHMS)}"' in offered


def test_B29_a_bound_token_needs_a_proof_of_its_key_and_is_no_bearer_token() -> None:
    holder, other = Holder(), Holder()
    bound = token(cnf={"jkt": holder.jkt})
    right: dict[str, Any] = {"ath": ath_of(bound), "iat": AT}
    held = asked(bound, scheme="DPoP", proof=holder.proof("GET", URL, **right))
    assert held.proof is not None
    assert holder.jkt == held.proof.jkt
    rows: list[tuple[str, str, str | None, str]] = [
        ("Bearer", bound, None, "invalid_token"),
        ("Bearer", bound, holder.proof("GET", URL, **right), "invalid_token"),
        ("DPoP", token(), holder.proof("GET", URL, ath=ath_of(token()), iat=AT), "invalid_token"),
        ("DPoP", bound, None, "invalid_dpop_proof"),
        ("DPoP", bound, other.proof("GET", URL, **right), "invalid_token"),
        ("DPoP", bound, holder.proof("POST", URL, **right), "invalid_dpop_proof"),
        ("DPoP", bound, holder.proof("GET", f"{URL}/x", **right), "invalid_dpop_proof"),
        ("DPoP", bound, holder.proof("GET", URL, iat=AT), "invalid_dpop_proof"),
        ("DPoP", bound, holder.proof("GET", URL, **{**right, "ath": ath_of("other")}), "invalid_dpop_proof"),
        ("DPoP", bound, holder.proof("GET", URL, **right, nonce="made-up"), "use_dpop_nonce"),
    ]
    for scheme, access, proof, error in rows:
        found = refusal(access, scheme=scheme, proof=proof)
        assert (401, error, True) == (
            found.status,
            found.told["error"],
            found.challenge(METADATA).startswith(scheme),
        ), error


STEPS: list[tuple[str, Needs, dict[str, Any], dict[str, str] | None]] = [
    # what is needed, what the token says, what the challenge asks for
    ("nothing", Needs(), {}, None),
    ("recent", Needs(max_age_seconds=100), {}, None),
    ("too old", Needs(max_age_seconds=99), {}, {"max_age": "99"}),
    ("unknown age", Needs(max_age_seconds=99), {"auth_time": None}, {"max_age": "99"}),
    ("strong", Needs(acr_values=("urn:acr:two", "urn:acr:one")), {}, None),
    ("weak", Needs(acr_values=("urn:acr:two", "urn:acr:3")), {}, {"acr_values": "urn:acr:two urn:acr:3"}),
    ("unknown strength", Needs(acr_values=("urn:acr:one",)), {"acr": None}, {"acr_values": "urn:acr:one"}),
    ("both", Needs((), ("urn:x",), 1), {}, {"acr_values": "urn:x", "max_age": "1"}),
]


@pytest.mark.parametrize(("case", "needs", "changed", "expected"), STEPS)
def test_C17_a_login_that_is_too_old_or_too_weak_is_told_what_to_ask_for(
    case: str, needs: Needs, changed: dict[str, Any], expected: dict[str, str] | None
) -> None:
    if expected is None:
        assert asked(token(**changed), needs=needs).claims.sub
        return
    found = refusal(token(**changed), needs=needs)
    told = {name: value for name, value in found.told.items() if not name.startswith("error")}
    assert (401, "insufficient_user_authentication", expected) == (found.status, found.told["error"], told)
    assert all(f'{name}="{value}"' in found.challenge(METADATA) for name, value in expected.items())


def test_a_token_without_the_scope_is_told_which() -> None:
    found = refusal(token(), needs=Needs(scopes=("openid", "admin")))
    assert (403, "insufficient_scope", "openid admin") == (found.status, found.told["error"], found.told["scope"])


async def test_B29_over_http_a_proof_is_taken_once_and_a_refusal_brings_a_nonce(world: World, tmp_path: Path) -> None:
    """A resource in a service of the test's own, on the world's bus, with the world's keys."""
    nc = await nats.connect(world.bus.url)
    log = Log(nc)
    settings = Settings(admin_token=Secret("x" * 24), kek=Secret(KEK), issuer=ISSUER, dpop_nonce="required")
    async with httpx.AsyncClient() as unused:
        service = Service(settings, Projection("default"), unused)
        await service.projection.open(tmp_path / "projection.db")
        service.waiting_for = None
        service.connected = await connect(service, log, [read_key(KEK)])
        service.connected.keys = some_keys()

        async def userinfo(request: Request) -> Response:
            access = await access_of(service_of(request), request, Needs(max_age_seconds=3600))
            return json_response({"sub": access.claims.sub})

        app = application([Route("/userinfo", userinfo)], exception_handlers={AccessRefused: access_refused})
        app.state.service = service
        holder, client_id = Holder(), (await world.register_client()).id
        since = int(datetime.now(UTC).timestamp())  # the client was registered just now, and gets its tokens after that
        bound = token(cnf={"jkt": holder.jkt}, client_id=client_id, iat=since)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ISSUER) as http:

            async def get(proof: str) -> httpx.Response:
                return await http.get("/userinfo?x=1", headers={"authorization": f"DPoP {bound}", "dpop": proof})

            first = await get(holder.proof("GET", URL, ath=ath_of(bound)))
            assert (401, "use_dpop_nonce") == (first.status_code, first.json()["error"])
            assert 'error="use_dpop_nonce"' in first.headers["www-authenticate"]
            proof = holder.proof("GET", URL, ath=ath_of(bound), nonce=first.headers["dpop-nonce"])
            assert [200, 401] == [(await get(proof)).status_code for _ in range(2)]
            old = token(client_id=client_id, iat=since, auth_time=int((NOW - timedelta(days=1)).timestamp()))
            stale = await http.get("/userinfo", headers={"authorization": f"Bearer {old}"})
            assert 'max_age="3600"' in stale.headers["www-authenticate"]
            assert 401 == (await http.get(f"/userinfo?access_token={token()}")).status_code, "C15"
            nobody = token(client_id="removed")
            gone = await http.get("/userinfo", headers={"authorization": f"Bearer {nobody}"})
            assert (401, "invalid_token") == (gone.status_code, gone.json()["error"]), "the client is gone"
        await service.projection.close()
    await nc.close()
