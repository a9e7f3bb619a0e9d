"""The page at the end of a login that needed no app: it says what came of it, to the user whom it is about."""

import html

import httpx

from scopefold.contracts.words import resource_type_of
from tests.auth.providers import Visitor, registered_at, revoke_at
from tests.auth.world import App, World
from tests.support.browsing import Window
from tests.support.logs import provisioned

MAIL = "https://www.googleapis.com/auth/gmail.readonly"
FILES = "https://www.googleapis.com/auth/drive.file"


class Link(App):
    """In place of an app: a link for everything that one connector needs."""

    def __init__(self, world: World, idp: str) -> None:
        super().__init__(world, {"client_id": "scopefold-account"})
        self.begins = f"/account/connect?resource={resource_type_of(f'identos.api-{idp}')}"

    def address(self, **_: str | None) -> str:
        return self.begins


async def arrived(visitor: Visitor, link: Link, idp: str, *untick: str) -> tuple[str, str]:
    """From the link to the page at its end: where that is, and what it says."""
    link.begins = (await visitor.browser.get(link.begins)).headers["location"]
    answer = await visitor.browser.get(await visitor.callback(link, idp, untick))
    place = answer.headers["location"]
    return place, text_of(await visitor.browser.get(place))


def text_of(page: httpx.Response) -> str:
    assert 200 == page.status_code, page.text
    return " ".join(html.unescape(page.text).split())


async def test_it_says_what_the_access_is_enough_for(world: World) -> None:
    idp = await registered_at(world, "google", MAIL, FILES)
    await world.publish(provisioned(f"wiki-{idp}", [MAIL], idp), by="provisioner")
    _, page = await arrived(Visitor(world), Link(world, idp), idp)
    both = f"{f'api-{idp}'.title()}, {f'wiki-{idp}'.title()}"
    assert f"You gave the access that was missing at Google: it is now enough for {both}." in page


async def test_what_did_not_come_to_its_end_is_told_in_our_own_words(world: World) -> None:
    """The address of a page can say anything: none of it is shown."""
    for error, code, words in (
        ("access_denied", "access_denied", "You did not allow the access"),
        ("call-this-number", "login_failed", "Open the link again."),
    ):
        asked = {"error": error, "error_description": "Your account is locked: call 555-0100"}
        page = await Window(world.auth.url).get("/account/connected", params=asked)
        assert (400, True, True) == (page.status_code, words in page.text, f"<code>{code}</code>" in page.text)
        assert not {"locked", "call-this-number"} & set(page.text.split())


async def test_it_names_what_was_left_out_and_leads_back(world: World) -> None:
    for name in ("alice", "bob"):
        await revoke_at(world, "google", name)  # what they gave before, which would be given again
    idp, visitor = await registered_at(world, "google", MAIL, FILES), Visitor(world)
    await world.publish(provisioned(f"wiki-{idp}", [MAIL], idp), by="provisioner")
    place, page = await arrived(visitor, Link(world, idp), idp, FILES)
    assert "<h1>Some access is still missing</h1>" in page
    assert f"It is enough for {f'wiki-{idp}'.title()}." in page
    assert (True, False, False) == (FILES in page, f"<code>{MAIL}</code>" in page, "You gave" in page)
    again = page.split('id="continue" href="')[1].split('"')[0]
    link = Link(world, idp)
    link.begins = again
    answer = await visitor.browser.get(await visitor.callback(link, idp))
    assert "Done" in text_of(await visitor.browser.get(answer.headers["location"]))
    # The address says nothing of anybody to who is not logged in, and another user sees what is their own.
    assert "The login is over." in text_of(await Window(world.auth.url).get(place))
    other = Visitor(world, "bob")
    await other.user(await world.register_client(), idp, [MAIL])
    told = text_of(await other.browser.get(place))
    assert (True, False) == (f"<code>{MAIL}</code>" in told, f"<code>{FILES}</code>" in told)
