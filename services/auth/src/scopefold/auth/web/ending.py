"""The ends: of a session, of which every client is told, and of a family of tokens, of which the log is told."""

import uuid
from collections.abc import Iterable

from scopefold.auth.core.families import Ended
from scopefold.auth.core.login import EVENT_IDS, withdrawn
from scopefold.auth.oauth.own_tokens import logout_token
from scopefold.auth.store.records import Session
from scopefold.auth.store.vault import StoredToken
from scopefold.auth.web.backchannel import Delivery
from scopefold.auth.web.browser import random_text
from scopefold.auth.web.login_log import write
from scopefold.auth.web.service import Service, now
from scopefold.consent.idp_scopes import Idp
from scopefold.contracts.events import GrantRevoked
from scopefold.ledger.append import NewEvent
from scopefold.runtime.logs import logger
from scopefold.scopes.coverage import Grant
from scopefold.scopes.update import taken_as_told

log = logger(__name__)


async def end_session(service: Service, user: str, sid: str) -> Session | None:
    """End it; what it was, or None where it had ended already. What hangs on it, by `sid`, ends with it."""
    ended = await end_sessions(service, [(user, sid)])
    return ended[0] if ended else None


async def end_sessions(service: Service, which: Iterable[tuple[str, str]]) -> list[Session]:
    """End these (user, sid), and tell the clients of all of them at once; what they were, less those that had ended."""
    ended = [one for user, sid in which if (one := await _ended(service, user, sid)) is not None]
    await service.backchannel.send([told for one in ended for told in await _deliveries(service, one)])
    return ended


async def _ended(service: Service, user: str, sid: str) -> Session | None:
    """What hangs on the session goes first: if the bus fails in between, whoever tries again still finds it."""
    moment = now()
    if await service.bus.sessions.of(user, sid, moment) is None:
        return None
    await service.bus.grants.end_session(sid, moment)
    ended = await service.bus.sessions.end(user, sid)
    if ended is not None:
        log.info("session ended", user=user, clients=len(ended.clients))
    return ended


async def _deliveries(service: Service, ended: Session) -> list[Delivery]:
    """A logout token for every client of a session, of the issuer that the client knows."""
    keys, moment = service.bus.keys, now()
    deliveries: list[Delivery] = []
    for client_id in ended.clients:
        client = await service.clients.get(client_id)
        if client is None or client.backchannel_logout_uri is None:
            continue
        token = logout_token(
            keys,
            ended.issuers.get(client_id, service.issuer),
            client_id=client_id,
            user=ended.user,
            sid=ended.sid,
            token_id=random_text(),
            now=moment,
        )
        deliveries.append(Delivery(client_id, client.backchannel_logout_uri, token, client.is_unknown))
    return deliveries


async def end_if_withdrawn(service: Service, idp: Idp, user: str, before: StoredToken, after: StoredToken) -> None:
    """Who gives an IdP less than before has taken something back: what apps were granted until now is over.

    Sessions go on: they give nothing by themselves, and every request in one is held against the grant as it is. A
    token that an IdP failed to give along with others is no word of the user's.
    """
    if len(after.parts) < len(before.parts):
        return
    lost = withdrawn(idp, _grant(idp, before), _grant(idp, after))
    if lost:
        log.info("a user gave less than before: what apps were granted is over", user=user, idp=idp.idp, scopes=lost)
        await service.bus.grants.end_user(user, now())


def _grant(idp: Idp, token: StoredToken) -> Grant:
    return Grant(taken_as_told(idp.profile, token.granted, token.requested), tuple(token.evidence))


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
