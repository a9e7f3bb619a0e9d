"""Somebody whose browser a client opens: she logs in wherever she is led, and comes back to the client."""

import re
from typing import Final
from urllib.parse import urljoin

import httpx

from tests.auth.world import World
from tests.support.browsing import Window

MOST_STEPS: Final = 20
_ACTION: Final = re.compile(r'<form[^>]* action="([^"]+)"')
_HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]+)">')


class Visitor:
    """One browser, and what its person answers on the pages on the way."""

    def __init__(self, world: World, name: str = "alice") -> None:
        self.browser = Window(world.auth.url)
        self._name = name
        self._sandbox = world.sandbox.url
        self.pages: list[httpx.Response] = []
        """Every page on which she pressed a button."""

    async def sent_back(self, address: str, to: str) -> str:
        """Open an address, log in, and agree; the address below `to` that she is sent to in the end, not opened. Of a
        form that is posted there: the address with what is posted.
        """
        answer = await self.browser.get(address)
        for _ in range(MOST_STEPS):
            there = answer.headers.get("location")
            if there is None and (form := _ACTION.search(answer.text)) and form[1].startswith(to):
                return str(httpx.URL(form[1]).copy_merge_params(dict(_HIDDEN.findall(answer.text))))
            if there is None:
                answer = await self._press(answer)
            elif (next_address := str(urljoin(str(answer.url), there))).startswith(to):
                return next_address
            else:
                answer = await self.browser.get(next_address)
        raise AssertionError(f"{MOST_STEPS} steps did not lead to {to}")

    async def _press(self, page: httpx.Response) -> httpx.Response:
        form = _ACTION.search(page.text)
        assert page.status_code == 200 and form is not None, (page.status_code, str(page.url), page.text)
        self.pages.append(page)
        yes = "accept" if str(page.url).startswith(self._sandbox) else "allow"
        fields = {**dict(_HIDDEN.findall(page.text)), "user": self._name, "decision": yes}
        return await self.browser.post(urljoin(str(page.url), form[1]), data=fields)
