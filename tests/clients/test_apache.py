"""A real Apache with mod_auth_openidc, configured by what stands in its recipe: docs/recipes/mod_auth_openidc.md."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import pytest

from scopefold.cli.ports import free_port
from tests.auth.world import World, until
from tests.clients.recipes import block, register
from tests.clients.visitor import Visitor
from tests.support import apache

PAGE: Final = "mod_auth_openidc.md"
ISSUER: Final = "https://login.example.com"
SITE: Final = "https://wiki.example.com"
SHOWN: Final = """
Header always set X-User "expr=%{REMOTE_USER}"
Header always set X-Groups "%{OIDC_CLAIM_groups}e"
"""


@pytest.fixture(scope="module")
def wiki(world: World) -> Iterator[str]:
    """The address of the site, which says in headers who it takes somebody for."""
    program = apache.find()
    if program is None:
        pytest.skip(apache.WHAT_TO_DO)
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    app = asyncio.run(register(world, PAGE, "wiki", {SITE: address}))
    theirs = {ISSUER: world.auth.url, SITE: address, "THE-SECRET": str(app.secret), "wiki-admins": "team-alice"}
    configuration = block(PAGE, "apache", theirs)
    with tempfile.TemporaryDirectory(prefix="apache-") as name:
        directory = Path(name)  # pytest's own are closed to the user that Apache serves as
        directory.chmod(0o755)
        with apache.running(program, directory, port, configuration + SHOWN):
            yield address


async def come_in(visitor: Visitor, wiki: str, path: str = "/") -> httpx.Response:
    """Open a page of the site, log in, and be back at it."""
    back = await visitor.sent_back(f"{wiki}{path}", f"{wiki}/oidc/callback")
    answer = await visitor.browser.get(back)
    assert (302, f"{wiki}{path}") == (answer.status_code, answer.headers.get("location")), answer.text
    return await visitor.browser.get(f"{wiki}{path}")


async def test_it_lets_people_in_and_tells_the_site_who_they_are(world: World, wiki: str) -> None:
    page = await come_in(Visitor(world), wiki)
    assert (200, "alice") == (page.status_code, page.headers["x-user"])
    assert {"staff", "team-alice"} == set(page.headers["x-groups"].split(","))


async def test_a_group_decides_who_sees_what(world: World, wiki: str) -> None:
    assert 200 == (await come_in(Visitor(world, "alice"), wiki, "/admin/")).status_code
    assert 401 == (await come_in(Visitor(world, "bob"), wiki, "/admin/")).status_code


async def test_logging_out_at_the_site_logs_out_here(world: World, wiki: str) -> None:
    alice = Visitor(world)
    await come_in(alice, wiki)
    goodbye = f"{wiki}/goodbye"
    leave = f"{wiki}/oidc/callback?logout={quote(goodbye, safe='')}"
    assert goodbye == await alice.sent_back(leave, goodbye)
    assert 302 == (await alice.browser.get(f"{wiki}/")).status_code
    alice.pages.clear()
    await come_in(alice, wiki)
    assert alice.pages, "the IdP had to ask who she is"


async def test_a_session_that_ends_here_ends_at_the_site(world: World, wiki: str) -> None:
    carol = Visitor(world, "carol")
    await come_in(carol, wiki)
    assert 200 == (await carol.browser.get(f"{wiki}/")).status_code
    app = await world.register_client()
    back = httpx.URL(await carol.sent_back(app.address(), "https://app.example/callback"))
    swapped = (await app.swap(back.params["code"])).json()
    user = (await app.verified(swapped["id_token"]))["sub"]
    assert 200 == (await world.admin("DELETE", f"/v1/users/{user}/sessions")).status_code

    async def sent_away() -> bool:
        return (await carol.browser.get(f"{wiki}/")).status_code == 302

    await until(sent_away)
