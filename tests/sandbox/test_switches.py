"""The page that sets everything, as a person and as a program use it."""

from typing import Any

import pytest

from scopefold.scopes.shipped import profiles
from tests.sandbox.conftest import WalkAt
from tests.sandbox.walk import Place, Walk, json_of, text_of

OIDC = Place("oidc", "/authorize", "/token", "client_secret_basic")
STAND_INS = [
    "atlassian", "bitbucket", "google", "microsoft", "microsoft-us", "microsoft-cn", "github", "slack", "oidc",
]  # fmt: skip
FORM = {
    "app.name": "Renamed",
    "app.callbacks": "http://127.0.0.1:1/a\r\nhttp://127.0.0.1:1/b\r\n",
    "app.permitted_scopes": "openid\n\n api:read \n",
    "switches.echo_scope": "never",
    "switches.unpermitted_scope": "dropped",
    "switches.tick_boxes": "on",
    "switches.refresh_tokens": "stay",
    "switches.logout": "on",
    "switches.client_authentication": "both",
    "switches.signing_algorithm": "RS256",
    "faults.at": "token",
    "faults.latency_ms": "7",
    "faults.server_errors": "0",
    "faults.server_error_status": "502",
    "faults.retry_after_seconds": "0",
    "faults.hangs": "0",
    "faults.dropped_refreshes": "0",
}


@pytest.fixture
async def oidc(walk_at: WalkAt) -> Walk:
    return await walk_at(OIDC)


async def test_every_stand_in_shows_its_app_switches_faults_and_grants(oidc: Walk) -> None:
    shown = json_of(await oidc.http.get("/switches"))
    assert STAND_INS == list(shown)
    assert [{"app", "switches", "faults", "grants", "seen"}] * len(STAND_INS) == [set(one) for one in shown.values()]
    assert "secret" not in {name for one in shown.values() for name in one["app"]}


async def test_the_page_labels_and_explains_every_switch(oidc: Walk) -> None:
    shown = json_of(await oidc.http.get("/switches"))
    page = await oidc.http.get("/switches", headers={"accept": "text/html"})
    for stand_in, settings in shown.items():
        for part in ("switches", "faults"):
            for name in settings[part]:
                spot = f'id="{stand_in}-{part}.{name}'
                assert (1, 1) == (page.text.count(f'{spot}"'), page.text.count(f'{spot}-why"')), spot
    assert "<small" in page.text
    for words in ("CONFLICT", "Not settled"):
        assert page.text.count(words) >= 3


async def test_a_form_sets_the_app_the_switches_and_the_faults(oidc: Walk) -> None:
    answer = await oidc.http.post("/switches/oidc", data=FORM)
    assert (303, "/switches?saved&open=oidc#oidc") == (answer.status_code, answer.headers["location"])
    found = await oidc.settings()
    expected = {
        "client_id": "sandbox-oidc",
        "name": "Renamed",
        "callbacks": ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"],
        "permitted_scopes": ["api:read", "openid"],
    }
    assert expected == found["app"]
    assert (True, False, "never") == tuple(
        found["switches"][name] for name in ("tick_boxes", "require_pkce", "echo_scope")
    )
    assert ("token", 7, 502) == tuple(found["faults"][name] for name in ("at", "latency_ms", "server_error_status"))
    page = await oidc.http.get(answer.headers["location"], headers={"accept": "text/html"})
    assert ("Saved." in page.text, "6 changed" in text_of(page)) == (True, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("switches.echo_scope", "sometimes"),
        ("faults.latency_ms", "30001"),
        ("faults.latency_ms", "soon"),
        ("faults.server_errors", "-1"),
        ("faults.server_error_status", "418"),
        ("app.name", ""),
        ("app.callbacks", "javascript:alert(1)"),
        ("app.permitted_scopes", 'a"b'),
    ],
)
async def test_a_form_with_a_wrong_value_changes_nothing(oidc: Walk, name: str, value: str) -> None:
    before = await oidc.settings()
    answer = await oidc.http.post("/switches/oidc", data={**FORM, name: value})
    assert (422, before) == (answer.status_code, await oidc.settings())


async def test_a_form_from_another_sites_page_is_refused(oidc: Walk) -> None:
    answer = await oidc.http.post("/switches/oidc", data=FORM, headers={"sec-fetch-site": "cross-site"})
    assert 403 == answer.status_code
    assert 404 == (await oidc.http.post("/switches/nobody", data=FORM)).status_code


@pytest.mark.parametrize(
    "body",
    [
        {"nobody": {}},
        {"oidc": {"switches": {"unheard_of": True}}},
        {"oidc": {"switches": {"echo_scope": "sometimes"}}},
        {"oidc": {"faults": {"hangs": -1}}},
        {"oidc": {"unheard_of": {}}},
        {"google": {"switches": {"granular_consent": False}}, "oidc": {"switches": {"echo_scope": 1}}},
    ],
)
async def test_json_with_something_wrong_changes_nothing(oidc: Walk, body: dict[str, Any]) -> None:
    before = json_of(await oidc.http.get("/switches"))
    assert 422 == (await oidc.http.put("/switches", json=body)).status_code
    assert before == json_of(await oidc.http.get("/switches"))


async def test_json_leaves_the_parts_that_it_does_not_name(oidc: Walk) -> None:
    await oidc.set("switches", tick_boxes=True, echo_scope="never")
    await oidc.set("faults", latency_ms=1)
    await oidc.set("switches", tick_boxes=True)
    found = await oidc.settings()
    assert (True, "always", 1) == (
        found["switches"]["tick_boxes"],
        found["switches"]["echo_scope"],
        found["faults"]["latency_ms"],
    )


async def test_the_page_revokes_a_grant(oidc: Walk) -> None:
    token = (await oidc.tokens("openid"))["access_token"]
    assert [{"client_id": "sandbox-oidc", "user": "alice", "scopes": ["openid"]}] == (await oidc.settings())["grants"]
    await oidc.http.post("/switches/oidc/revoke", data={"user": "alice", "client_id": "sandbox-oidc"})
    assert [] == (await oidc.settings())["grants"]
    assert 401 == (await oidc.api("GET", "/userinfo", token)).status_code


async def test_programs_learn_how_each_stand_in_is_registered(oidc: Walk) -> None:
    """By its discovery document alone where it has one, which is really there; else by its addresses."""
    items = json_of(await oidc.http.get("/stand-ins.json"))["items"]
    assert STAND_INS == [one["name"] for one in items]
    assert {name for one in items for name in one["profiles"]} <= set(profiles())
    for one in items:
        endpoints, client = one["endpoints"], one["client_id"]
        if "discovery" in endpoints:
            assert ["discovery"] == list(endpoints)
            found = json_of(await oidc.http.get(endpoints["discovery"]))
            assert found["token_endpoint"].startswith(f"{oidc.base}/{one['name']}/")
        else:
            assert ["authorize", "token", "identity"] == [name for name in endpoints if name != "revocation"]
            assert 405 == (await oidc.http.get(endpoints["token"])).status_code
        assert client == json_of(await oidc.http.get(one["app"]))["client_id"]
        assert f"{client}-secret" == one["client_secret"]
