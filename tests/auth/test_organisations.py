"""Every route of the issuer is there for the organisation too, as an issuer of its own; D13-D15, C16."""

import re
from typing import Any
from urllib.parse import urlsplit

import httpx
from joserfc import jws

from scopefold.auth.oauth.protected import AccessRefused
from scopefold.auth.settings import Settings
from scopefold.auth.store.projection import Projection
from scopefold.auth.web.protected import resource_metadata_address
from scopefold.auth.web.routes import CROSS_ORIGIN, OAUTH
from scopefold.auth.web.service import Service
from scopefold.runtime.secret import Secret
from tests.auth.canary import canary
from tests.auth.test_client_documents import described
from tests.auth.test_security import is_shown_here
from tests.auth.world import APP_REDIRECT, App, Person, World, query_of
from tests.support.browsing import Window

NAMES = ("oauth-authorization-server", "openid-configuration")


async def told(url: str, *paths: str) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        answers = [await http.get(path) for path in paths]
    assert [200] * len(paths) == [one.status_code for one in answers], [one.text for one in answers]
    return [one.json() for one in answers]


async def test_D14_the_metadata_of_each_issuer_is_at_its_addresses_and_names_it(world: World) -> None:
    base = world.auth.url
    for issuer, paths in (
        (base, [f"/.well-known/{name}" for name in NAMES]),
        (
            f"{base}/default",
            [
                *(f"/.well-known/{name}/default" for name in NAMES),
                *(f"/default/.well-known/{name}" for name in NAMES),
            ],
        ),
    ):
        for document in await told(base, *paths):
            assert issuer == document["issuer"]
            for name, address in document.items():
                if name.endswith("_endpoint") or name == "jwks_uri":
                    assert address.startswith(f"{issuer}/"), name
            (keys,) = await told(base, urlsplit(document["jwks_uri"]).path)
            assert [] == [name for key in keys["keys"] for name in ("d", "p", "q", "k") if name in key], "D13"
            assert not {"none", "plain", "implicit", "password"} & set(re.findall(r'"(\w+)"', str(document))), "D15"


async def test_C16_the_metadata_of_our_resources_is_found_from_their_name(world: World) -> None:
    """RFC 9728, section 3.1: the resource's path stands behind the well-known one."""
    base, well_known = world.auth.url, "/.well-known/oauth-protected-resource"
    for path in ("", "/default"):
        (document,) = await told(base, well_known + path)
        assert (base + path, [base + path]) == (document["resource"], document["authorization_servers"])


def test_C16_a_challenge_names_the_metadata() -> None:
    settings = Settings(admin_token=Secret("x" * 24), kek=Secret("x"), issuer="https://login.example/base")
    service = Service(settings, Projection("default"), httpx.AsyncClient())
    refused = AccessRefused(401, "Bearer", error="invalid_token", error_description="It expired.", scope="openid")
    assert (
        'Bearer realm="scopefold", error="invalid_token", error_description="It expired.", scope="openid", '
        'resource_metadata="https://login.example/.well-known/oauth-protected-resource/base/default"'
    ) == refused.challenge(resource_metadata_address(service.speaking_as("https://login.example/base/default")))
    assert (
        'Bearer realm="scopefold", resource_metadata="https://login.example/.well-known/oauth-protected-resource/base"'
    ) == AccessRefused(401, "Bearer").challenge(resource_metadata_address(service))


async def test_an_organisation_that_is_none_is_not_found_anywhere(world: World) -> None:
    async with httpx.AsyncClient(base_url=world.auth.url) as http:
        for path, _, methods in (*OAUTH, *CROSS_ORIGIN):
            for organisation in ("other", "Default", "default%2f", "%00", "..%2fdefault"):
                answer = await http.request(methods[0], f"/{organisation}{path.replace('{', '').replace('}', '')}")
                assert 404 == answer.status_code, (organisation, path)
        for name in (*NAMES, "oauth-protected-resource"):
            for path in ("other", "default/x", "default/", "x/default", "//", "default%00"):
                assert 404 == (await http.get(f"/.well-known/{name}/{path}")).status_code, (name, path)


class At:
    """An organisation's own address, for an app that knows only that."""

    def __init__(self, world: World) -> None:
        self.auth = _Address(f"{world.auth.url}/default")


class _Address:
    def __init__(self, url: str) -> None:
        self.url = url


def at_organisation(world: World, app: App) -> App:
    there = App(world, {"client_id": app.id, "client_secret": app.secret})
    there.world = At(world)  # type: ignore[assignment]
    there.address = lambda **changed: f"/default{App.address(there, **changed)}"  # type: ignore[method-assign]
    return there


async def test_a_login_at_an_organisation_is_of_its_issuer_from_beginning_to_end(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = at_organisation(world, await world.register_client())
    answer = await alice.come_back(app, idp_hint=idp)
    assert f"{world.auth.url}/default" == query_of(answer)["iss"]
    swapped = await app.swap(query_of(answer)["code"])
    assert 200 == swapped.status_code, swapped.text
    claims = await app.verified(swapped.json()["id_token"])
    assert f"{world.auth.url}/default" == claims["iss"]
    payload = jws.extract_compact(swapped.json()["access_token"].encode()).payload
    assert f'"iss":"{world.auth.url}/default"'.encode() in payload.replace(b" ", b"")


async def test_a_code_of_one_issuer_is_none_of_another(world: World) -> None:
    idp, alice, app = await world.idp_with_jira(), Person(world), await world.register_client()
    there = at_organisation(world, app)
    for mine, other in ((app, there), (there, app)):
        code = query_of(await alice.browser.get(mine.address(idp_hint=idp, prompt="none"))).get("code")
        code = code or await alice.log_in(mine, idp_hint=idp)
        stolen = await other.swap(code)
        assert (400, "invalid_grant") == (stolen.status_code, stolen.json()["error"])
        assert 200 == (await mine.swap(code)).status_code


async def test_A29_errors_at_an_organisation_name_its_issuer(world: World) -> None:
    idp, alice = await world.idp_with_jira(), Person(world)
    app = at_organisation(world, await world.register_client())
    issuer = f"{world.auth.url}/default"
    for changed in ({"prompt": "none"}, {"code_challenge": ""}, {"response_type": "token"}):
        assert issuer == query_of(await alice.browser.get(app.address(idp_hint=idp, **changed)))["iss"]
    assert issuer == query_of(await alice.come_back(app, decision="cancel", idp_hint=idp))["iss"]
    assert is_shown_here(await alice.browser.get(app.address(redirect_uri="https://evil.example/")))
    chooser = await alice.browser.get(app.address())
    assert 'href="/default/authorize?' in chooser.text


async def test_the_question_of_an_unknown_app_stays_at_its_organisation(welcoming: World) -> None:
    idp, alice = await welcoming.idp_with_jira(), Person(welcoming)
    async with canary() as site:
        app = at_organisation(welcoming, App(welcoming, described(site)))
        page = await alice.asked(app, idp_hint=idp)
        assert 'action="/default/consent"' in page.text
        answer = query_of(await alice.decide(page))
        assert f"{welcoming.auth.url}/default" == answer["iss"]
        assert 200 == (await app.swap(answer["code"])).status_code


async def test_D14_an_issuer_with_a_path_is_found_at_all_three_places(with_path: World) -> None:
    base = with_path.auth.url
    for path in ("/login", "/login/default"):
        places = [*(f"/.well-known/{name}{path}" for name in NAMES), *(f"{path}/.well-known/{name}" for name in NAMES)]
        assert {base + path} == {document["issuer"] for document in await told(base, *places)}
        (document,) = await told(base, f"/.well-known/oauth-protected-resource{path}")
        assert base + path == document["resource"]


async def test_a_proxy_in_front_may_take_the_path_off_or_leave_it(with_path: World) -> None:
    app, browser = await with_path.register_client(), Window(with_path.auth.url)
    for prefix, issuer in (("/login", "/login"), ("", "/login"), ("/login/default", "/login/default")):
        answer = await browser.get(prefix + app.address(prompt="none"))
        assert (303, f"{with_path.auth.url}{issuer}") == (answer.status_code, query_of(answer)["iss"])
        assert answer.headers["location"].startswith(APP_REDIRECT)
