"""One attempt to tell the webhook something.

The address is the operator's own, like an IdP's: it is asked by the same bounded client, and may be inside the network.
"""

import secrets
from datetime import datetime
from typing import Final

from scopefold.auth.core.webhook import headers, read_secret
from scopefold.auth.web.outgoing import Http, NoAnswer
from scopefold.auth.web.turns import Watched

GAP_SECONDS: Final = 11.0
"""Who has not the turn looks every five seconds, and the bus may take as long to answer."""


class Sender:
    """The webhook as this process knows it. `known_since`: which earlier events moved somebody is not known here."""

    def __init__(self, http: Http, address: str, secret: str, *, attempts: int) -> None:
        self.me = secrets.token_hex(8)
        self.attempts = attempts
        self.known_since = 0
        self.turns = Watched(GAP_SECONDS)
        self._http = http
        self._address = address
        self._key = read_secret(secret)

    async def send(self, identifier: str, body: bytes, now: datetime) -> str | None:
        """Send a message; None where it was taken, else why not, in a word."""
        signed = headers(self._key, identifier, body, now)
        try:
            answer = await self._http.ask("POST", self._address, headers=signed, content=body)
        except NoAnswer as error:
            return error.code
        return None if 200 <= answer.status < 300 else f"http_{answer.status}"
