"""What auth asks of others over HTTP: bounded in time and in size, and never led elsewhere by a redirect."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import httpx
import msgspec
from msgspec import Struct

from scopefold.scopes.addresses import is_private_way

MAX_ANSWER_BYTES: Final = 256 * 1024
ANSWER_SECONDS: Final = 10.0
"""For a whole answer; the client's own limits are for a single step of it."""

DOCUMENT_SECONDS: Final = 3600.0
MAX_DOCUMENTS: Final = 200


class NoAnswer(Exception):
    """Nothing came that can be used. `code` is short and fit for the log; it holds nothing of what came."""

    def __init__(self, code: str, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class Answer(Struct, frozen=True):
    """What came: any status, and a body of at most 256 KiB."""

    status: int
    body: bytes

    def members(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `NoAnswer`."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NoAnswer(f"http_{self.status}_not_json", self.status) from None


async def ask(
    http: httpx.AsyncClient, method: str, address: str, *, headers: Mapping[str, str], content: bytes | None = None
) -> Answer:
    """Send one request and read its answer. Raises `NoAnswer`."""
    body = bytearray()
    try:
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            http.stream(method, address, headers=headers, content=content) as response,
        ):
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise NoAnswer("answer_too_large", response.status_code)
    except TimeoutError:
        raise NoAnswer("ReadTimeout") from None
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise NoAnswer(type(error).__name__) from None
    return Answer(response.status_code, bytes(body))


class Documents:
    """Discovery documents and key sets of IdPs, each kept for an hour, and at most 200 of them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}

    async def get(self, address: str, *, kept_seconds: float = DOCUMENT_SECONDS) -> dict[str, Any]:
        """The document at this address, as it was read at most so long ago (0: now). Raises `NoAnswer`."""
        kept = self._kept.get(address)
        if kept is not None and time.monotonic() < kept[0] + kept_seconds:
            return kept[1]
        if not is_private_way(address):
            raise NoAnswer("not_https")
        answer = await ask(self._http, "GET", address, headers={"accept": "application/json"})
        if answer.status != HTTPStatus.OK:
            raise NoAnswer(f"http_{answer.status}", answer.status)
        document = answer.members()
        self._kept.pop(address, None)
        if len(self._kept) >= MAX_DOCUMENTS:
            self._kept.pop(next(iter(self._kept)))
        self._kept[address] = (time.monotonic(), document)
        return document
