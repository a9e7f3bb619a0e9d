"""What auth asks of others over HTTP: bounded in time and in size, and never led elsewhere by a redirect."""

import asyncio
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import aiohttp
import httpx
import msgspec
from aiohttp import client_exceptions as errors
from aiohttp.http_exceptions import ContentEncodingError
from msgspec import Struct

from scopefold.runtime.kept import Kept
from scopefold.scopes.addresses import is_private_way

MAX_ANSWER_BYTES: Final = 256 * 1024
ANSWER_SECONDS: Final = 10.0
"""For a whole answer, connecting and all."""
MAX_HEADER_BYTES: Final = 32 * 1024
"""For one field of it: content security policies are long."""

MOST_OF_ONE_HOST: Final = 100
"""Connections at once."""

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
    retry_after: str = ""
    """Its Retry-After as it came; empty where it has none, or several."""

    def members(self) -> dict[str, Any]:
        """The body as a JSON object. Raises `NoAnswer`."""
        try:
            return msgspec.json.decode(self.body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise NoAnswer(f"http_{self.status}_not_json", self.status) from None


class Http:
    """Connections to IdPs, which are kept for a moment and used again. Asks by way of the proxy that the environment
    names, keeps no cookie, and follows no redirect.
    """

    def __init__(self) -> None:
        self._proxies = getproxies_environment()
        self._opened: aiohttp.ClientSession | None = None

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Opened at the first request: it belongs to a running loop."""
        if self._opened is None:
            self._opened = aiohttp.ClientSession(
                # Each IdP has its own share: one that does not answer keeps nobody from the others.
                connector=aiohttp.TCPConnector(
                    ssl=httpx.create_ssl_context(), limit=0, limit_per_host=MOST_OF_ONE_HOST
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"user-agent": "scopefold"},
                max_field_size=MAX_HEADER_BYTES,
                trust_env=False,  # it would look at the environment, and for a .netrc, at every request
            )
        return self._opened

    async def aclose(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            await self._opened.close()

    async def ask(
        self, method: str, address: str, *, headers: Mapping[str, str], content: bytes | None = None
    ) -> Answer:
        """Send one request and read its answer. Raises `NoAnswer`."""
        body = bytearray()
        try:
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                self._session.request(
                    method,
                    address,
                    headers=headers,
                    data=content,
                    allow_redirects=False,
                    proxy=self._proxy_for(address),
                ) as response,
            ):
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_ANSWER_BYTES:
                        raise NoAnswer("answer_too_large", response.status)
        except TimeoutError as error:
            raise NoAnswer(
                "ConnectTimeout" if isinstance(error, aiohttp.ConnectionTimeoutError) else "ReadTimeout"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswer(_code(error)) from None
        waits = response.headers.getall("retry-after", [])
        return Answer(response.status, bytes(body), waits[0] if len(waits) == 1 else "")

    def _proxy_for(self, address: str) -> str | None:
        if not self._proxies:
            return None
        place = urlsplit(address)
        if proxy_bypass(place.netloc, self._proxies):
            return None
        return self._proxies.get(place.scheme) or self._proxies.get("all")


def _code(error: Exception) -> str:
    """What went wrong, by the names that the log has had for it from the first day; diagnoses know them."""
    if isinstance(error.__cause__, ContentEncodingError):
        return "DecodingError"
    return next((code for kind, code in _CODES if isinstance(error, kind)), "NetworkError")


_CODES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (errors.NonHttpUrlClientError, "UnsupportedProtocol"),
    (ValueError, "InvalidURL"),
    (errors.ClientProxyConnectionError, "ProxyError"),
    (errors.ClientHttpProxyError, "ProxyError"),
    (errors.ClientConnectorError, "ConnectError"),
    (errors.ServerDisconnectedError, "RemoteProtocolError"),
    (errors.ClientPayloadError, "RemoteProtocolError"),
    (errors.ClientResponseError, "RemoteProtocolError"),
    (OSError, "ReadError"),
)


class Documents:
    """Discovery documents and key sets of IdPs, each kept for an hour, and at most 200 of them."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._kept: Kept[str, tuple[float, dict[str, Any]]] = Kept(MAX_DOCUMENTS)

    async def get(self, address: str, *, kept_seconds: float = DOCUMENT_SECONDS) -> dict[str, Any]:
        """The document at this address, as it was read at most so long ago (0: now). Raises `NoAnswer`."""
        kept = self._kept.get(address)
        if kept is not None and time.monotonic() < kept[0] + kept_seconds:
            return kept[1]
        if not is_private_way(address):
            raise NoAnswer("not_https")
        answer = await self._http.ask("GET", address, headers={"accept": "application/json"})
        if answer.status != HTTPStatus.OK:
            raise NoAnswer(f"http_{answer.status}", answer.status)
        document = answer.members()
        self._kept.keep(address, (time.monotonic(), document))
        return document
