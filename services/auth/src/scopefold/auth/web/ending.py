"""The end of a session, whoever ends it: it is gone at every replica, and every client of it is told."""

from scopefold.auth.oauth.own_tokens import logout_token
from scopefold.auth.store.records import Session
from scopefold.auth.web.backchannel import Delivery
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.service import Service, now
from scopefold.runtime.logs import logger

log = logger(__name__)


async def end_session(service: Service, user: str, sid: str) -> Session | None:
    """End it; what it was, or None where it had ended already. What hangs on it, by `sid`, ends with it."""
    ended = await service.bus.sessions.end(user, sid)
    if ended is None:
        return None
    log.info("session ended", user=user, clients=len(ended.clients))
    keys, issuer, moment = service.bus.keys, service.issuer, now()
    deliveries: list[Delivery] = []
    for client_id in ended.clients:
        client = await service.clients.get(client_id)
        if client is not None and client.backchannel_logout_uri is not None:
            token = logout_token(
                keys, issuer, client_id=client_id, user=user, sid=sid, token_id=random_text(), now=moment
            )
            deliveries.append(Delivery(client_id, client.backchannel_logout_uri, token))
    await service.backchannel.send(deliveries)
    return ended
