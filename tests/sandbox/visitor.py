"""A person with a browser in front of the Atlassian stand-in, over plain HTTP."""

from collections.abc import Mapping
from typing import Any

import httpx

from tests.sandbox.walk import VERIFIER, Place, Walk, query_of, transaction_in

__all__ = ["ATLASSIAN", "CLIENT_ID", "CLIENT_SECRET", "VERIFIER", "Visitor", "query_of", "transaction_in"]

CLIENT_ID = "sandbox-atlassian"
CLIENT_SECRET = "sandbox-atlassian-secret"
ATLASSIAN = Place(
    "atlassian", "/authorize", "/oauth/token", params={"audience": "api.atlassian.com", "prompt": "consent"}
)


class Visitor(Walk):
    """One browser, and an app that speaks to Atlassian's API gateway."""

    def __init__(self, base: str, redirect_uri: str) -> None:
        super().__init__(base, redirect_uri, ATLASSIAN)

    async def swap(self, body: Mapping[str, str], **as_what: Any) -> httpx.Response:
        """Post a token request with the client's own credentials, as JSON."""
        right = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uri": self.redirect_uri}
        return await self.http.post("/atlassian/oauth/token", json={**right, **body}, **as_what)
