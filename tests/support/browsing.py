"""A browser for tests: httpx, with the cookies of a browser, which sends Secure cookies to this machine over http.

httpx copies a jar without its policy, so the cookies are kept beside the client. Redirects are not followed: a test
looks at each step.
"""

import httpx

from scopefold.cli.browser import new_cookies


class Window(httpx.AsyncClient):
    """One browser; its cookies are in `jar`. It keeps no connection open, so nobody needs to close it."""

    def __init__(self, base_url: str) -> None:
        super().__init__(base_url=base_url, timeout=20, headers={"accept": "text/html", "connection": "close"})
        self.jar = httpx.Cookies(new_cookies())
        self.event_hooks = {"request": [self._show_cookies], "response": [self._keep_cookies]}

    async def _show_cookies(self, request: httpx.Request) -> None:
        request.headers.pop("cookie", None)  # httpx's own jar, which knows no loopback
        self.jar.set_cookie_header(request)

    async def _keep_cookies(self, response: httpx.Response) -> None:
        self.jar.extract_cookies(response)
