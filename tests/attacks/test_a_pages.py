"""Every page that people see, and every redirect that takes them elsewhere."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from tests.auth.canary import canary
from tests.auth.oidc import LOGGED_OUT, tokens_of
from tests.auth.test_client_documents import FRAMED, described
from tests.auth.test_logout import click
from tests.auth.world import App, Person, World, query_of
from tests.support.browsing import Window
from tests.support.logs import provisioned

MARKUP = "\"'><script>alert(1)</script><img src=x>&lt;"
PARTS = {"base", "back", "diagnosis", "lacks"}
"""Templates that are parts of pages."""
WITH_SCRIPT = {"form_post"}
"""The one page that runs a script, of ours: `tests/auth/test_form_post.py` looks at it."""


async def every_page(world: World) -> Mapping[str, httpx.Response]:
    """One of each page, by its template, with markup in every name that somebody else chose."""
    idp, alice, bob = await world.idp_with_jira(), Person(world), Person(world, "bob")
    app = await world.register_client(client_name=MARKUP, post_logout_redirect_uris=[LOGGED_OUT])
    async with canary() as site:
        unknown = App(world, described(site, client_name=MARKUP, logo_uri="https://evil.example/logo.svg"))
        consent = await bob.asked(unknown, idp_hint=idp)
        await world.idp_with_jira()  # of two, a person chooses
        choose = await bob.browser.get(unknown.address(login_hint=MARKUP, state=MARKUP))
        not_logged_in = await bob.browser.get(unknown.address(response_type=MARKUP, state=MARKUP))
    back = httpx.URL(await alice.press(await alice.at_consent(app, idp_hint=idp, state=MARKUP, nonce=MARKUP)))
    wrong = {"error": MARKUP, "error_description": MARKUP, "error_uri": f"javascript:{MARKUP}"}
    failed = await alice.browser.get(back.copy_remove_param("code").copy_merge_params(wrong))
    user = await alice.user(app, idp_hint=idp)
    named = replace(provisioned(f"new-{idp}", ["write:confluence-content"], idp), title=MARKUP)
    await world.publish(named, by="provisioner")
    step_up = await alice.browser.get(app.address(idp_hint=idp))
    made = await world.admin("POST", "/v1/reconsent/links", json={"users": [user], "idp": idp})
    reconsent = await alice.browser.get(made.json()["items"][0]["url"])
    sessions = await alice.browser.get("/account/sessions")
    connections = await alice.browser.get("/account/connections")
    error = await alice.browser.get(app.address(redirect_uri=MARKUP))
    logout = await alice.browser.get("/oauth2/logout", params={"state": MARKUP})
    logged_out = await click(alice, logout)
    home = await alice.browser.get("/")
    connected = await alice.browser.get("/account/connected")
    return {
        "home": home,
        "choose": choose,
        "not_logged_in": not_logged_in,
        "consent": consent,
        "failed": failed,
        "step_up": step_up,
        "reconsent": reconsent,
        "sessions": sessions,
        "connections": connections,
        "error": error,
        "logout": logout,
        "logged_out": logged_out,
        "connected": connected,
    }


async def test_A17_A22_A23_no_page_runs_frames_or_fetches_anything(welcoming: World) -> None:
    pages = await every_page(welcoming)
    folder = files("scopefold.auth.web").joinpath("templates")
    templates = {one.name.removesuffix(".html") for one in folder.iterdir() if one.name.endswith(".html")}
    assert templates - PARTS - WITH_SCRIPT == set(pages), "a new page is to be looked at, too"
    for name, page in pages.items():
        assert page.headers["content-type"].startswith("text/html"), name
        assert not re.findall(r"<(script|img|iframe|object|embed|svg|form\s+action=.http)", page.text), name
        assert not re.findall(r"""\s(?:src|srcset|on\w+|style)\s*=""", tags(page.text)), name
        assert ["/assets/scopefold.css"] == re.findall(r'<link[^>]* href="([^"]*)"', page.text), name
        assert not re.findall(r'href="(?!https?://|/)', page.text), name
        policy = page.headers["content-security-policy"]
        for rule in ("default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert rule in policy, name
        assert not re.search(r"script-src|img-src|unsafe|\*", policy), name
        told = ("x-frame-options", "referrer-policy", "cache-control", "x-content-type-options")
        assert ["DENY", "no-referrer", "no-store", "nosniff"] == [page.headers[one] for one in told], name
    for name in ("consent", "step_up", "reconsent", "sessions", "choose"):
        assert "&lt;script&gt;" in pages[name].text, f"{name}: the markup came, as text"


def tags(html: str) -> str:
    """The tags alone, without the text between them."""
    return " ".join(re.findall(r"<[a-z][^>]*>", html))


async def test_E04_A23_a_logo_is_neither_shown_nor_kept(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site, canary() as elsewhere:
        pictures = dict.fromkeys(("logo_uri", "policy_uri", "tos_uri", "client_uri"), f"{elsewhere.url}/x.svg")
        page = await alice.asked(App(welcoming, described(site, **pictures)), idp_hint=idp)
        assert ("Notes" in page.text, elsewhere.url in page.text, elsewhere.connections) == (True, False, 0)
    assert "no-referrer" == page.headers["referrer-policy"]


async def test_A24_whatever_is_posted_is_left_behind_by_the_redirect(welcoming: World) -> None:
    """303: the browser goes on by GET, and takes nothing of the form along (RFC 9700, section 4.12)."""
    world = welcoming
    idp, alice = await world.idp_with_jira(), Person(world)
    app = await world.register_client(post_logout_redirect_uris=[LOGGED_OUT])
    tokens = await tokens_of(app, await alice.come_back(app, idp_hint=idp))
    async with canary() as site:
        consent = await alice.browser.get(App(world, described(site)).address(idp_hint=idp))
    other = Person(world)
    await other.log_in(app, idp_hint=idp)
    sessions = await alice.browser.get("/account/sessions")
    (elsewhere,) = set(re.findall(r"/account/sessions/[^/]+/revoke", sessions.text)) - here(sessions.text)
    posts: list[tuple[str, dict[str, Any]]] = [
        ("/authorize", app.request(idp_hint=idp)),
        ("/authorize", app.request(idp_hint=idp, prompt="none")),
        ("/authorize", app.request(idp_hint=idp, prompt="login")),
        ("/authorize", app.request(code_challenge="short")),
        ("/oauth2/logout", {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": LOGGED_OUT}),
    ]
    answers = [await alice.decide(consent), await click(alice, sessions, elsewhere)]
    answers += [await alice.browser.post(path, data=form) for path, form in posts]
    for answer in answers:
        assert 303 == answer.status_code, (answer.url, answer.text)
        assert ("no-referrer", "no-store") == (answer.headers["referrer-policy"], answer.headers["cache-control"])


def here(page: str) -> set[str]:
    """The address that ends the session of the browser that sees the page."""
    item = next(one for one in page.split("<li>") if "this browser" in one)
    return set(re.findall(r"/account/sessions/[^/]+/revoke", item))


async def told_errors(world: World) -> Mapping[str, httpx.Response]:
    """Every way in which a client is told by a redirect that it gets no code."""
    idp, alice, nobody = await world.idp_with_jira(), Person(world), Window(world.auth.url)
    app, own = (
        await world.register_client(),
        await world.register_client(
            grant_types=["client_credentials"], token_endpoint_auth_method="client_secret_basic"
        ),
    )
    await alice.log_in(app, idp_hint=idp)
    async with canary() as site:
        unknown = App(world, described(site))
        question = await alice.browser.get(unknown.address(idp_hint=idp))
        denied = await alice.decide(question, "deny")
        unasked = await alice.browser.get(unknown.address(idp_hint=idp, prompt="none"), headers=FRAMED)
    await world.publish(provisioned(f"more-{idp}", ["write:confluence-content"], idp), by="provisioner")
    return {
        "access_denied": denied,
        "consent_required": unasked,
        "interaction_required": await alice.browser.get(app.address(idp_hint=idp, prompt="none")),
        "login_required": await nobody.get(app.address(prompt="none")),
        "unauthorized_client": await nobody.get(own.address()),
        "invalid_target": await nobody.get(app.address(resource="urn:nobody:x")),
        "unsupported_response_type": await nobody.get(app.address(response_type="token")),
        "request_not_supported": await nobody.get(app.address(request="x")),
        "request_uri_not_supported": await nobody.get(app.address(request_uri="https://evil.example/x")),
        "invalid_request": await nobody.get(app.address(max_age="x")),
        "unmet_authentication_requirements": await nobody.get(
            app.address(claims='{"id_token":{"acr":{"essential":true,"value":"gold"}}}')
        ),
    }


async def test_A29_every_error_that_a_client_is_told_names_the_issuer(welcoming: World) -> None:
    async with httpx.AsyncClient(base_url=welcoming.auth.url) as http:
        issuer = (await http.get("/.well-known/openid-configuration")).json()["issuer"]
    for error, answer in (await told_errors(welcoming)).items():
        assert 303 == answer.status_code, (error, answer.text)
        told = query_of(answer)
        assert (error, issuer, "the-state") == (told["error"], told["iss"], told["state"])
        assert set(told) <= {"error", "error_description", "iss", "state"}
        assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*", told["error_description"]), "RFC 6749, section 4.1.2.1"


@pytest.mark.parametrize("decision", ["accept", "cancel"])
async def test_A29_so_does_what_follows_a_login(world: World, decision: str) -> None:
    idp, app, alice = await world.idp_with_jira(), await world.register_client(), Person(world)
    told = query_of(await alice.come_back(app, idp_hint=idp, decision=decision))
    assert (world.auth.url, "the-state", decision == "accept") == (told["iss"], told["state"], "code" in told)
