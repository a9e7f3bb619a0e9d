"""Token exchange for services on the bus: the decision of the token endpoint, for who is known by the subject it used.

The bus lets a service publish nowhere but on the subject of its name, so nothing that it sends says who it is.
"""

import asyncio
from collections import Counter
from typing import Any, Final

import msgspec
from authlib.oauth2.rfc6749 import OAuth2Error

from scopefold.auth.oauth.exchange import ACCESS_TOKEN, for_service
from scopefold.auth.oauth.loaded import Loaded
from scopefold.auth.web.answers import AWAY
from scopefold.auth.web.client_request import Answer
from scopefold.auth.web.exchange import exchanged
from scopefold.auth.web.service import Service, issuer_of
from scopefold.auth.web.token_status import told_of_late
from scopefold.contracts.exchange import ExchangeAnswer, ExchangeToken
from scopefold.runtime.logs import logger

MOST_AT_ONCE: Final = 64
MOST_OF_ONE: Final = 32
"""Of one service, so that it leaves room for the others."""
ANSWER_SECONDS: Final = 25.0
"""Sooner than an asker gives up, and than the bus lets auth answer no more."""
MAX_BYTES: Final = 32 * 1024
RETRY_SECONDS: Final = 2
log = logger(__name__)


class BusExchange:
    """Answers services that exchange users' tokens over the bus: not too many at once, each within a bound."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._under_way: Counter[str] = Counter()

    async def answer(self, asker: str, body: bytes) -> ExchangeAnswer:
        """What the service of this name gets. Never raises."""
        if self._under_way.total() >= MOST_AT_ONCE or self._under_way[asker] >= MOST_OF_ONE:
            return _unavailable("Too many exchanges are under way. Ask again.")
        self._under_way[asker] += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return _told(await _exchange(self._service, asker, body))
        except TimeoutError:
            return _unavailable("The exchange takes too long. Ask again.")
        except AWAY as error:
            log.warning("exchange refused", asker=asker, reason=str(error))
            return _unavailable("A part of this server is away. Ask again.")
        except Exception as error:
            log.error("exchange failed", asker=asker, error=type(error).__name__, exc_info=error)
            return ExchangeAnswer(status=500, error="server_error", error_description="Look at the log of auth.")
        finally:
            self._under_way[asker] -= 1


async def _exchange(service: Service, asker: str, body: bytes) -> Answer:
    service.check_ready()
    try:
        asked = msgspec.json.decode(body, type=ExchangeToken) if len(body) <= MAX_BYTES else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        asked = None
    if asked is None:
        return _refused(400, "invalid_request", "The message is no ExchangeToken, as the contracts describe it.")
    speaking, loaded = await _loaded(service, asker, asked)
    try:
        exchange = for_service(loaded, asked.resource, asked.scopes, asked.site)
    except OAuth2Error as error:
        return _refused(error.status_code, error.error, error.description)
    return await exchanged(speaking, exchange, (200, {"issued_token_type": ACCESS_TOKEN, "token_type": "Bearer"}, {}))


async def _loaded(service: Service, asker: str, asked: ExchangeToken) -> tuple[Service, Loaded]:
    """What decides, and the service as the issuer of the subject token: its own, or its organisation's."""
    organisation = service.speaking_as(issuer_of(service, service.settings.tenant))
    client = await service.clients.get(asker)
    for speaking in (service, organisation):
        loaded = speaking.loaded(client)
        loaded.told = await told_of_late(speaking, asked.subject_token, asked.resource)
        if loaded.told is not None:
            return speaking, loaded
    return service, service.loaded(client)


def _refused(status: int, error: str, description: str) -> Answer:
    return status, {"error": error, "error_description": description}, {}


def _unavailable(description: str) -> ExchangeAnswer:
    return _told((503, {"error": "temporarily_unavailable", "error_description": description}, {}))


def _told(answer: Answer) -> ExchangeAnswer:
    """The members of the answer over HTTP."""
    status, body, headers = answer
    members: dict[str, Any] = {"status": status, **body}
    if status == 503:
        members["retry_after"] = int(headers.get("retry-after", RETRY_SECONDS))
    return msgspec.convert(members, ExchangeAnswer)
