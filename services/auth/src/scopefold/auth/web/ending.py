"""How a family of tokens ends before its time, and what the log says of it."""

import uuid

from scopefold.auth.core.families import Ended
from scopefold.auth.core.login import EVENT_IDS
from scopefold.auth.web.login_log import write
from scopefold.auth.web.service import Service, now
from scopefold.contracts.events import GrantRevoked
from scopefold.ledger.append import NewEvent
from scopefold.runtime.logs import logger

log = logger(__name__)


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
