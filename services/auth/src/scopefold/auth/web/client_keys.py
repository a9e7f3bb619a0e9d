"""The public keys of clients that prove themselves by assertion: registered, or at a registered address (RFC 7591)."""

from joserfc.jwk import KeySet

from scopefold.auth.oauth.client_keys import has_key, key_set
from scopefold.auth.oauth.private_key_jwt import METHOD, key_named_by
from scopefold.auth.store.records import Client
from scopefold.auth.web.egress import Egress, NotFetched
from scopefold.runtime.logs import logger

log = logger(__name__)


async def signing_keys(egress: Egress, client: Client, assertion: str) -> KeySet | None:
    """The keys that may have signed this assertion, which nothing is known of yet; None where there are none.

    A key that is not known makes us look again: the client may have new ones (OpenID Connect Core 1.0, section 10.1.1).
    Nobody makes us look twice within 10 seconds.
    """
    if client.token_endpoint_auth_method != METHOD:
        return None
    if client.jwks is not None or client.jwks_uri is None:
        return key_set(client.jwks or {})
    try:
        keys = key_set(await egress.document(client.jwks_uri))
        kid = key_named_by(assertion)
        if kid is None or has_key(keys, kid):
            return keys
        return key_set(await egress.document(client.jwks_uri, newer_than_seconds=0))
    except NotFetched as error:
        log.info("the keys of a client cannot be used", client=client.client_id, reason=str(error))
        return None
