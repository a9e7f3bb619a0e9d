"""The ends: of a session, of which every client is told, and of a family of tokens, of which the log is told."""

import uuid

from scopefold.auth.core.families import Ended
from scopefold.auth.core.login import EVENT_IDS
from scopefold.auth.oauth.own_tokens import logout_token
from scopefold.auth.store.records import Session
from scopefold.auth.web.backchannel import Delivery
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.login_log import write
from scopefold.auth.web.service import Service, now
from scopefold.contracts.events import GrantRevoked
from scopefold.ledger.append import NewEvent
from scopefold.runtime.logs import logger

log = logger(__name__)


async def end_session(service: Service, user: str, sid: str) -> Session | None:
    """End it; what it was, or None where it had ended already. What hangs on it, by `sid`, ends with it."""
    ended = await service.bus.sessions.end(user, sid)
    if ended is None:
        return None
    await service.bus.grants.end_session(sid, now())
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


async def end_family(service: Service, family_id: str, why: Ended) -> None:
    """End a family, and tell the log. Safe to repeat: it ends once, and the event has an id that follows from it."""
    family = await service.bus.grants.end(family_id, why, now())
    if family is None or family.ended is None:
        return
    if family.ended == why and why != "client":
        log.warning("a grant was ended: what is good for one use came twice", client=family.client_id, why=why)
    event = GrantRevoked(
        user=family.user, idp=family.idp, client=family.client_id, grant=family_id, reason=family.ended
    )
    named = f"grant-revoked:{service.settings.tenant}:{family_id}"
    await write(service, NewEvent(str(uuid.uuid5(EVENT_IDS, named)), event))
